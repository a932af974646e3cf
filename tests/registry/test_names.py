"""The shell around the claims, over a wire that notes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.errors import CallTimeout
from foundation.registry import NAMES, NameRow, Names, RegistryOptions
from foundation.registry.messages import Claim, Granted, NameMessage, Retry, Won
from foundation.registry.rows import moved
from foundation.replication import Replication
from foundation.replication.messages import Message, Note, Want
from tests.registry.claims_model import home_of

ME, HOME = NodeId("me"), NodeId("home")
MEMBERS = Roster([(HOME, 1), (ME, 1)])
NAME = next(name for n in count() if home_of(NAMES + (name := str(n)), [ME, HOME]) == HOME)


class NotedWire:
    """Keeps what is sent."""

    node_id = ME

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.has_room = True

    def send(self, node: NodeId, frame: bytes, channel: Channel) -> None:
        del node, channel
        self.sent.append(msgspec.msgpack.decode(frame, type=Message))

    def room(self, node: NodeId, channel: Channel) -> bool:
        del node, channel
        return self.has_room

    async def wait_for_room(self, node: NodeId, channel: Channel) -> None:
        pass

    def said(self) -> Iterator[NameMessage]:
        sent, self.sent = self.sent, []
        for message in sent:
            if isinstance(message, Note):
                yield from msgspec.msgpack.decode(message.content, type=list[NameMessage])


def started() -> tuple[NotedWire, Replication, Names]:
    wire = NotedWire()
    replication = Replication(wire, {NAMES: NameRow})
    names = Names(replication, RegistryOptions(retry_s=0.0))
    replication.came(HOME)
    names.enter(MEMBERS)
    names.show(HOME)
    return wire, replication, names


def hear(replication: Replication, *messages: NameMessage) -> None:
    note = Note("names", msgspec.Raw(msgspec.msgpack.encode(messages)))
    replication.receive(HOME, msgspec.msgpack.encode([note]), Channel.STATE)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_claim_that_was_made_again_and_got_lost_is_repeated() -> None:
    """It met another view once; the timer of that has run, so it is one of those that are asked until answered."""
    wire, replication, names = started()
    async with names:
        registering = asyncio.ensure_future(names.register(NAME, 1, timeout_s=5))
        await turns()
        assert [type(message) for message in wire.said()] == [Claim]
        wire.has_room = False
        hear(replication, Retry(1), Retry(1))
        await turns()
        assert list(wire.said()) == []  # it was made again, and there was no room for it
        wire.has_room = True
        names._repeat()
        await turns()
        assert [type(message) for message in wire.said()] == [Claim]
        registering.cancel()


async def test_rows_that_a_claim_waits_for_are_fetched() -> None:
    """They were left out for want of room, perhaps, and the claim came through."""
    wire, replication, names = started()
    mine = next(name for n in count() if home_of(NAMES + (name := str(n)), [ME, HOME]) == ME)
    async with names:
        wire.sent.clear()
        hear(replication, Claim(1, NAMES + mine, 1, MEMBERS.number, 7, 1))
        assert Want(HOME, 0) in wire.sent


async def test_a_name_that_nobody_decides_about_is_a_timeout() -> None:
    """The error says who was to decide."""
    _, _, names = started()
    async with names:
        with pytest.raises(CallTimeout, match="node home is to"):
            await names.register(NAME, 1, timeout_s=0.0)


async def test_a_child_that_is_handed_over_wins_nothing() -> None:
    """What another node was told of it stays as it is, and what has gone there is not this node's any more."""
    wire, replication, names = started()
    mine = next(name for n in count() if home_of(NAMES + (name := str(n)), [ME, HOME]) == HOME)
    async with names:
        registering = asyncio.ensure_future(names.register(mine, 1, plan=b"plan", timeout_s=5))
        await turns()
        [claim] = [message for message in wire.said() if type(message) is Claim]
        hear(replication, Granted(claim.number, claim.key, 1, names.claims.round))
        await registering
        row = names.held_child(mine)
        assert row is not None

        def hear_verdict(epoch: int) -> NameRow | None:
            hear(replication, Won(NAMES + mine, row.serial, epoch, names.claims.round, row.life + 1))
            return names.held_child(mine)

        won = msgspec.structs.replace(row, epoch=2, life=row.life + 1)
        assert hear_verdict(2) == won
        names.hand_over_child(mine)
        assert hear_verdict(4) == won
        names.handed_over_child(mine, HOME)
        assert hear_verdict(6) is None
        assert names._own(NAMES + mine) == moved(won, HOME)
