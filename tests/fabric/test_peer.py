"""Two ends of the way between two nodes agree on a session, whatever each of them still remembers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from unittest.mock import create_autospec

import msgspec
import pytest

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.sources import new_node_id
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.fabric.packet import Splitter, split_sender
from foundation.fabric.peer import Peer

MOST_PUTS = 40


class Node:
    """One node with one peer, and what it has put on the wire."""

    incarnation = 1

    def __init__(self) -> None:
        self.id = new_node_id()
        self.wire: deque[bytes] = deque()
        self.got: list[object] = []
        self.ended = 0
        self.given_up: list[Peer] = []
        self.peer: Peer

    def meet(self, other: Node) -> None:
        """Begin to talk to the other one, knowing nothing of it."""
        self.peer = Peer(self.id, other.id, self, self.wire.append, FabricOptions())

    def send(self, value: object) -> None:
        self.peer.enqueue(Channel.EVENTS, msgspec.msgpack.encode(value))
        self.peer.flush()

    def take(self, payload: bytes) -> None:
        for packet in Splitter().feed(split_sender(payload)[1]):
            self.peer.routed_packet(packet)

    def admitted(self, node: NodeId, incarnation: int) -> bool:
        return bool(node and incarnation)

    def deliver(self, node: NodeId, frames: memoryview | bytes, channel: Channel) -> None:
        assert (node, channel) == (self.peer.node, Channel.EVENTS)
        self.got += msgspec.msgpack.decode(frames)

    def session_ended(self, node: NodeId, /) -> None:
        assert node == self.peer.node
        self.ended += 1

    def refused(self, peer: Peer) -> None:
        self.given_up.append(peer)

    def acknowledge_later(self, peer: Peer) -> None:
        """Leave it: what is sent back acknowledges too."""

    def look_later(self, peer: Peer) -> None:
        """Leave it to the test: nothing is lost here that only time would tell."""

    def drop(self, why: str) -> None:
        raise AssertionError(why)


def both_forget(one: Node, two: Node) -> None:
    one.meet(two)
    two.meet(one)


def one_forgets(one: Node, two: Node) -> None:
    one.meet(two)


def nobody_forgets(_one: Node, _two: Node) -> None:
    """Both remember."""


def carry(one: Node, two: Node, turn: str) -> None:
    """Carry what is on the wire, in the given order, until there is no more."""
    for _ in range(MOST_PUTS):
        under_way = [pair for pair in ((one, two), (two, one)) if pair[0].wire]
        if turn != "both at once":
            under_way = under_way[:1] if turn == "one is ahead" else under_way[-1:]
        for source, target in under_way:
            target.take(source.wire.popleft())
    assert not one.wire, "they have not come to an end"
    assert not two.wire, "they have not come to an end"


@pytest.mark.parametrize("forget", [both_forget, one_forgets, nobody_forgets])
@pytest.mark.parametrize("turn", ["one at a time", "both at once", "one is ahead"])
async def test_two_nodes_agree_on_a_session(forget: Callable[[Node, Node], None], turn: str) -> None:
    """When a link comes back they agree within a few packets, though one may have given up the other meanwhile.

    Each used to begin anew because the other one did, for ever, and no frame got through.
    """
    one, two = Node(), Node()
    both_forget(one, two)

    def exchange() -> None:
        carry(one, two, turn)

    def meet_again(*who: Node) -> None:
        for node in who:
            node.peer.absent()
        for node in who:
            node.peer.found()
        exchange()

    meet_again(one, two)
    one.send("a")
    two.send("b")
    exchange()
    assert (two.got, one.got) == (["a"], ["b"])
    forget(one, two)
    meet_again(one, two)
    one.send("c")
    two.send("d")
    exchange()
    assert (two.got, one.got) == (["a", "c"], ["b", "d"])
    assert (one.ended, two.ended) == (0, 1 if forget is one_forgets else 0)


async def test_a_link_on_which_nobody_begins_gives_way_to_the_routes() -> None:
    """A link that both sides took, and on which the other one says nothing, is no reason to stay silent."""
    one, two = Node(), Node()
    one.meet(two)
    two.meet(one)
    one.peer.found()
    two.peer.found()
    carry(one, two, "both at once")
    link = Link()
    transport = create_autospec(asyncio.Transport, is_closing=lambda: False)
    transport.abort.side_effect = lambda: link.connection_lost(None)
    link.connection_made(transport)
    one.peer._active = None  # as if it had been lost in the same moment
    one.peer.attach(link, dialed_here=True)
    one.send("hello")
    now = asyncio.get_running_loop().time()
    one.peer.look(now + FabricOptions().lease_s / 2)
    assert one.peer.has_link
    one.peer.look(now + FabricOptions().lease_s + 1)
    assert not one.peer.has_link
    carry(one, two, "both at once")
    assert two.got == ["hello"]


async def test_who_hangs_up_before_saying_anything_is_not_kept() -> None:
    """A link of somebody who goes at that moment leaves nothing; one with whom there is a session is waited for."""
    one, two = Node(), Node()
    one.meet(two)
    two.meet(one)

    def link_that_is_lost() -> None:
        link = Link()
        transport = create_autospec(asyncio.Transport, is_closing=lambda: False)
        link.connection_made(transport)
        one.peer.attach(link, dialed_here=False)
        link.connection_lost(None)

    link_that_is_lost()
    assert one.given_up == [one.peer]
    one.given_up.clear()
    one.peer.found()
    two.peer.found()
    carry(one, two, "both at once")
    link_that_is_lost()
    assert one.given_up == []
