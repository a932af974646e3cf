"""The shell around the tables, over a wire that only notes what it is given."""

from __future__ import annotations

import msgspec

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.replication import Replication
from foundation.replication.messages import Digest, Message, Want

ME, ONE, TWO, GONE = (NodeId(name) for name in ("me", "one", "two", "gone"))


class NotedWire:
    """Keeps what is sent."""

    node_id = ME

    def __init__(self) -> None:
        self.sent: list[tuple[NodeId, Message]] = []

    def send(self, node: NodeId, frame: bytes, channel: Channel) -> None:
        del channel
        self.sent.append((node, msgspec.msgpack.decode(frame, type=Message)))

    def room(self, node: NodeId, channel: Channel) -> bool:
        del node, channel
        return True

    async def wait_for_room(self, node: NodeId, channel: Channel) -> None:
        pass

    def taken(self) -> list[tuple[NodeId, Message]]:
        sent, self.sent = self.sent, []
        return sent


async def test_who_goes_without_an_answer_is_replaced_at_once() -> None:
    """Rows of a node that is down, asked of one that goes as well, are asked of another one, without waiting."""
    wire = NotedWire()
    replication = Replication(wire, {})
    replication.came(ONE)
    replication.came(TWO)
    wire.taken()
    replication.seek(ONE, {GONE: 7})
    assert wire.taken() == [(ONE, Want(GONE, 0))]
    replication.seek(TWO, {GONE: 7})
    assert wire.taken() == []  # it was asked for
    replication.went(ONE)
    assert wire.taken() == [(TWO, Digest({}))]
    replication.seek(TWO, {GONE: 7})
    assert wire.taken() == [(TWO, Want(GONE, 0))]


async def test_what_was_asked_in_a_session_that_ended_is_asked_again() -> None:
    """The question may be lost with the session."""
    wire = NotedWire()
    replication = Replication(wire, {})
    replication.came(ONE)
    replication.seek(ONE, {ONE: 7})
    wire.taken()
    replication.came(ONE)
    assert wire.taken()[-1] == (ONE, Digest({}))
    replication.seek(ONE, {ONE: 7})
    assert wire.taken() == [(ONE, Want(ONE, 0))]
