"""All the nodes that this one talks to: sends to them, takes what comes, keeps direct links, and owns the timers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.errors import CodecError, FabricError, FabricLostError, NotDelivered
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.fabric.packet import Splitter, wrap_all
from foundation.fabric.peer import Peer

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.25
_MOST_STRANGERS = 256
_FEW_OF_STATE = 8
"""So many rows and notes for a node take the routes before they are worth a direct link.

All nodes tell all others about their tables when they meet: if that were worth a link, a thousand nodes that have
nothing to say would dial each other a million times.
"""
Frames = memoryview | bytes


@dataclass(slots=True)
class FabricCounters:
    """What passed, and what was thrown away because it had the wrong shape or came from a past incarnation."""

    frames_sent: int = 0
    frames_received: int = 0
    packets_received: int = 0
    dropped: int = 0


class Peers:
    """The other nodes. See :class:`foundation.fabric.peer.Owner` for what each of them asks of this."""

    def __init__(self, node_id: NodeId, options: FabricOptions) -> None:
        self.node_id = node_id
        self.incarnation = 1
        self.counters = FabricCounters()
        self.receive: Callable[[NodeId, Frames, Channel], None] = lambda _node, _frames, _channel: None
        self.admits: Callable[[NodeId, int], bool] = lambda _node, _incarnation: True
        self.session_ended: Callable[[NodeId], None] = lambda _node: None
        self.addresses_of: Callable[[NodeId], Sequence[str]] = lambda _node: ()
        self.put: Callable[[NodeId, bytes], None] = lambda _node, _payload: None
        self.dial_link: Callable[[str], Awaitable[tuple[Link, NodeId]]]
        self.lost: Callable[[str], None] = lambda _cause: None
        self._options = options
        self._tasks = TaskScope("direct links")
        self._peers: dict[NodeId, Peer] = {}
        self._present: set[NodeId] = set()
        self._loopback: list[bytes] = []
        self._to_flush: dict[NodeId, None] = {}
        self._to_acknowledge: dict[Peer, None] = {}
        self._acknowledging: asyncio.TimerHandle | None = None
        self._awaited: dict[Peer, None] = {}
        """Those of whom an acknowledgement is outstanding: where nothing is, no timer runs."""
        self._looking: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._to_flush.update(dict.fromkeys(self._peers))
        self._flush()  # what was said last must not be lost, as far as the windows allow
        for timer in (self._acknowledging, self._looking):
            if timer is not None:
                timer.cancel()
        for peer in self._peers.values():
            peer.close("this node stops")
        self._peers.clear()
        await self._tasks.close()

    # --- sending

    def send(self, node: NodeId, frame: bytes, channel: Channel = Channel.EVENTS) -> None:
        """Queue one frame; see :meth:`foundation.fabric.Fabric.send`."""
        peer = self._peers.get(node)
        if peer is not None:
            if peer.enqueue(channel, frame):
                self._flush_one(peer)
            if not peer.has_link and self._is_worth_a_link(peer, channel):
                self._want_link(peer)
        elif node == self.node_id:
            self._loopback.append(frame)
        else:
            message = f"node {node[:8]} is not in the cluster"
            raise NotDelivered(message)
        if node not in self._to_flush:
            if not self._to_flush:
                asyncio.get_running_loop().call_soon(self._flush)
            self._to_flush[node] = None

    def room(self, node: NodeId, channel: Channel = Channel.EVENTS) -> bool:
        """Tell whether little enough waits for a node in a channel that a sender may add to it."""
        peer = self._peers.get(node)
        return peer is None or peer.has_room(channel)

    async def wait_for_room(self, node: NodeId, channel: Channel = Channel.EVENTS) -> None:
        """Wait until there is room for a node; see :meth:`foundation.fabric.Fabric.wait_for_room`."""
        if (peer := self._peers.get(node)) is not None:
            await peer.wait_for_room(channel)

    # --- who comes and goes

    def found(self, node: NodeId) -> None:
        """A node is present."""
        self._present.add(node)
        with self._noticing_loss():
            self._peer(node).found()

    def absent(self, node: NodeId) -> None:
        """A node is not present any more; its session waits for it."""
        self._present.discard(node)
        if peer := self._peers.get(node):
            peer.absent()

    def forget(self, node: NodeId) -> None:
        """End the session with a node that is down or has left; sends to it fail from now on."""
        if peer := self._peers.pop(node, None):
            peer.close(f"node {node[:8]} is not in the cluster any more")

    def become(self, incarnation: int) -> None:
        """Speak as a new incarnation of this node."""
        if incarnation != self.incarnation:
            self.incarnation = incarnation
            with self._noticing_loss():
                for peer in self._peers.values():
                    peer.restate()

    def linked(self, link: Link, node: NodeId) -> None:
        """Take over a connection on which a node has proved itself at the door."""
        if not self._options.direct_links or self._is_one_too_many(node):
            link.abort()
        else:
            self._peer(node).attach(link, dialed_here=False)

    def ways(self) -> dict[NodeId, str]:
        """Return how frames to each node travel now: ``direct``, ``routed``, or ``none``."""
        return {node: str(peer.way or "none") for node, peer in self._peers.items()}

    # --- what comes

    def routed(self, sender: NodeId, payload: memoryview) -> None:
        """Take what came over the engine's routes."""
        if sender == self.node_id or self._is_one_too_many(sender):
            self.drop(f"packets of {sender[:8]}, which is not present, like too many others")
            return
        peer = self._peer(sender)
        splitter = Splitter()
        try:
            for packet in splitter.feed(payload):
                peer.routed_packet(packet)
        except CodecError as error:
            self.drop(str(error))
        except FabricLostError as error:
            self.lost(str(error))
        else:
            if not payload or not splitter.is_empty:
                self.drop("a packet that ends too early")
        self.refused(peer)

    def admitted(self, node: NodeId, incarnation: int) -> bool:
        """See the port."""
        return self.admits(node, incarnation)

    def deliver(self, node: NodeId, frames: Frames, channel: Channel) -> None:
        """See the port."""
        self.counters.packets_received += 1
        self.counters.frames_received += int.from_bytes(frames[1:5], "big")
        try:
            self.receive(node, frames, channel)
        except Exception:
            logger.exception("what came from node %s could not be handled", node[:8])

    def refused(self, peer: Peer) -> None:
        """See the port. What is left over from a node that has gone is not kept: sends to it must fail."""
        node = peer.node
        if not peer.has_session and node not in self._present and self._peers.get(node) is peer:
            self.forget(node)

    def acknowledge_later(self, peer: Peer) -> None:
        """See the port. One timer serves all peers."""
        self._to_acknowledge[peer] = None
        if self._acknowledging is None:
            loop = asyncio.get_running_loop()
            self._acknowledging = loop.call_later(self._options.acknowledge_after_s, self._acknowledge)

    def look_later(self, peer: Peer) -> None:
        """See the port. One timer serves all peers."""
        self._awaited[peer] = None
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_INTERVAL_S, self._look)

    def drop(self, why: str) -> None:
        """See the port."""
        self.counters.dropped += 1
        if self.counters.dropped & (self.counters.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood logs little
            logger.warning("dropped what came over the wire (%d so far): %s", self.counters.dropped, why)

    # --- inside

    def _peer(self, node: NodeId) -> Peer:
        peer = self._peers.get(node)
        if peer is None:
            peer = Peer(self.node_id, node, self, lambda payload: self.put(node, payload), self._options)
            self._peers[node] = peer
        return peer

    def _is_one_too_many(self, node: NodeId) -> bool:
        return node not in self._peers and len(self._peers) - len(self._present) >= _MOST_STRANGERS

    @contextmanager
    def _noticing_loss(self) -> Generator[None]:
        """Take a session that turns out to be gone for the end of this node, not for an error of what used it."""
        try:
            yield
        except FabricLostError as error:
            self.lost(str(error))

    def _flush_one(self, peer: Peer) -> None:
        with self._noticing_loss():
            peer.flush()

    def _flush(self) -> None:
        nodes, self._to_flush = self._to_flush, {}
        with self._noticing_loss():
            for node in nodes:
                if node == self.node_id:
                    frames, self._loopback = self._loopback, []
                    self.receive(node, wrap_all(frames), Channel.EVENTS)
                elif peer := self._peers.get(node):
                    self.counters.frames_sent += peer.take_count()
                    peer.flush()

    def _acknowledge(self) -> None:
        self._acknowledging = None
        peers, self._to_acknowledge = self._to_acknowledge, {}
        with self._noticing_loss():
            for peer in peers:
                peer.acknowledge()

    def _is_worth_a_link(self, peer: Peer, channel: Channel) -> bool:
        if channel is Channel.STATE and peer.few_of_state < _FEW_OF_STATE:
            peer.few_of_state += 1
            return False
        return True

    def _want_link(self, peer: Peer) -> None:
        if peer.dialing or not self._options.direct_links or peer.node not in self._present or self._tasks.is_closed:
            return
        if peer.dial_after <= asyncio.get_running_loop().time() and (addresses := self.addresses_of(peer.node)):
            peer.dialing = True
            self._tasks.start(self._dial(peer, addresses), f"link to {peer.node[:8]}")

    async def _dial(self, peer: Peer, addresses: Sequence[str]) -> None:
        try:
            for address in addresses:
                try:
                    link, node = await self.dial_link(address)
                except FabricError as error:
                    logger.debug("no direct link to %s: %s", peer.node[:8], error)
                    continue
                if node == peer.node and self._peers.get(node) is peer:
                    peer.failed_dials = 0
                    peer.attach(link, dialed_here=True)
                    return
                link.abort()
            peer.failed_dials += 1
            delay_s = self._options.redial.delay_s(peer.failed_dials, draw())
            peer.dial_after = asyncio.get_running_loop().time() + delay_s
        finally:
            peer.dialing = False

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        peers, self._awaited = self._awaited, {}
        self._looking = None
        with self._noticing_loss():
            for peer in peers:
                peer.look(loop.time())  # who is to be looked at again says so
