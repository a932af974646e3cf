"""Faults that are put into the library on purpose, to prove that schedules find such things."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.errors import CallTimeout, NodeDown, NotDelivered
from foundation.fabric.packet import Data
from foundation.fabric.peer import Peer
from foundation.fabric.peers import Peers
from foundation.fabric.presence import PresenceTable
from foundation.fabric.session import Session
from foundation.membership import MemberEvent, Membership, MemberStatus, MemberUnreachable
from foundation.membership.dialing import DialPlan
from foundation.membership.view import View
from foundation.processes.calling import calls, reference
from foundation.processes.calling.calls import Calls
from foundation.processes.calling.deadlines import Deadlines
from foundation.processes.messages import Cast
from foundation.processes.serving.requests import Requests
from foundation.replication import sync
from tests.simulate.children.plants import CHILD_PLANTS, Change


def _around(owner: Any, name: str, make: Callable[[Any], Any]) -> Change:
    return owner, name, make(getattr(owner, name))


def drop_left() -> Iterator[Change]:
    """A node that leaves does not say so."""

    def make(become: Any) -> Any:
        return lambda self, status: None if status is MemberStatus.LEAVING else become(self, status)

    yield _around(Membership, "become", make)


def reverse_facts() -> Iterator[Change]:
    """Of two announcements that are there at the same time the older one counts."""

    def make(appeared: Any) -> Any:
        def reversed_(self: Any, token: Any) -> bool:
            is_first = token.node not in self
            appeared(self, token)
            return is_first

        return reversed_

    yield _around(PresenceTable, "appeared", make)


def double_member() -> Iterator[Change]:
    """Who comes back with a higher incarnation is listed beside itself."""

    def make(members: Any) -> Any:
        def doubled(self: Any) -> list[Any]:
            found = members(self)
            return found + [replace(member, incarnation=1) for member in found if member.incarnation > 1]

        return doubled

    yield _around(View, "members", make)


def down_while_seen() -> Iterator[Change]:
    """A node gives up whom it cannot reach without asking the others."""
    yield View, "_is_seen", lambda _self, _node, _record: False
    yield View, "_all_agree", lambda _self, _node: True


def silent_unreachable() -> Iterator[Change]:
    """Nobody is told when a member becomes unreachable."""

    def make(absent: Any) -> Any:
        def silent(self: Any, node: NodeId, now: float) -> list[MemberEvent]:
            return [event for event in absent(self, node, now) if not isinstance(event, MemberUnreachable)]

        return silent

    yield _around(View, "absent", make)


def no_redial() -> Iterator[Change]:
    """Whoever was given up is never looked for again."""

    def make(failed: Any) -> Any:
        def once(self: Any, address: str, now: float, chance: float, *, refused: bool = False) -> None:
            failed(self, address, now, chance, refused=refused)
            if address in self._targets:
                self._targets[address].due = float("inf")

        return once

    yield _around(DialPlan, "failed", make)


def duplicate_frame() -> Iterator[Change]:
    """What is sent again is taken again."""

    def make(receive: Any) -> Any:
        def twice(self: Any, data: Data) -> Any:
            incoming = self._incoming.get(data.channel)
            known = incoming is not None and data.number <= incoming.seen
            received = receive(self, data)
            return data.body if known and not data.flags else received

        return twice

    yield _around(Session, "receive", make)


def reorder_channel() -> Iterator[Change]:
    """Frames that travel together change places."""

    def make(small_frames: Any) -> Any:
        return lambda self, out: small_frames(self, out)[::-1]

    yield _around(Session, "_small_frames", make)


def lost_on_resume() -> Iterator[Change]:
    """What was not acknowledged when a path ended is taken for arrived, and nobody misses it."""

    def make_resume(resume: Any) -> Any:
        def losing(self: Any, seen: Any) -> None:
            resume(self, seen)
            for out in filter(None, self._lanes):
                out.resend = 0

        return losing

    def make_receive(receive: Any) -> Any:
        def careless(self: Any, data: Data) -> Any:
            incoming = self._incoming.get(data.channel) or self._listen(data.channel)
            if data.number > incoming.seen + 1:
                incoming.seen = data.number - 1
            return receive(self, data)

        return careless

    yield _around(Session, "resume", make_resume)
    yield _around(Session, "receive", make_receive)


def lost_without_path() -> Iterator[Change]:
    """A cast that is sent while there is no path is thrown away."""

    def make(enqueue: Any) -> Any:
        def losing(self: Any, channel: Channel, frame: bytes) -> bool:
            is_lost = self._active is None and frame[1] == Cast.__struct_config__.tag
            return False if is_lost else bool(enqueue(self, channel, frame))

        return losing

    yield _around(Peer, "enqueue", make)


def no_deadline() -> Iterator[Change]:
    """Nobody looks at deadlines."""
    yield Deadlines, "_set_timer", lambda _self, _number: None


def not_delivered_but_run() -> Iterator[Change]:
    """Who waits for a node that goes down is told that nothing was executed."""

    class Lie(NodeDown, NotDelivered):
        pass

    Lie.__name__ = "NotDelivered"
    yield calls, "NodeDown", Lie


def run_twice() -> Iterator[Change]:
    """A call that came to nothing is made again, though it may have been executed."""

    def make(call: Any) -> Any:
        async def again(*args: Any) -> Any:
            try:
                return await call(*args)
            except (NodeDown, CallTimeout):
                return await call(*args)

        return again

    yield _around(reference, "_call", make)


def leak_task() -> Iterator[Change]:
    """A task that has made a link never ends."""

    def make(dial: Any) -> Any:
        async def endless(self: Any, peer: Any, addresses: Any) -> None:
            await dial(self, peer, addresses)
            await asyncio.Event().wait()

        return endless

    yield _around(Peers, "_dial", make)


def leak_request() -> Iterator[Change]:
    """A call that was cancelled stays on the books of the node that handled it."""
    yield Requests, "cancel", lambda _self, _source, _number: None


def unending_stream() -> Iterator[Change]:
    """Nobody is told that a stream has ended."""
    yield Calls, "on_end", lambda _self, _source, _frame: None


def lost_item() -> Iterator[Change]:
    """Of many items of a stream that wait, one is lost."""

    def make(on_item: Any) -> Any:
        def losing(self: Any, source: NodeId, frame: Any) -> None:
            inbox = self._streams.get(frame.call)
            on_item(self, source, frame)
            if inbox is not None and len(inbox.arrived) > 100:
                inbox.arrived = deque(list(inbox.arrived)[:-1])

        return losing

    yield _around(Calls, "on_item", make)


def late_grant() -> Iterator[Change]:
    """Credit for a stream that has ended is an error."""

    def make(grant: Any) -> Any:
        def strict(self: Any, source: NodeId, number: int, items: int) -> None:
            _ = self._open[source][number]
            grant(self, source, number, items)

        return strict

    yield _around(Requests, "grant", make)


def bare_error() -> Iterator[Change]:
    """Who waits for a node that goes down gets the error of a socket, which nobody who calls expects."""
    yield calls, "NodeDown", ConnectionResetError


def strict_start() -> Iterator[Change]:
    """A node that meets somebody who does not answer when asked for tables does not start at all."""
    yield sync, "CallTimeout", NotDelivered


PLANTS: dict[str, Callable[[], Iterator[Change]]] = {
    plant.__name__: plant
    for plant in (
        drop_left,
        reverse_facts,
        double_member,
        down_while_seen,
        silent_unreachable,
        no_redial,
        duplicate_frame,
        reorder_channel,
        lost_on_resume,
        lost_without_path,
        no_deadline,
        not_delivered_but_run,
        run_twice,
        leak_task,
        leak_request,
        unending_stream,
        lost_item,
        late_grant,
        bare_error,
        strict_start,
    )
} | CHILD_PLANTS


@contextmanager
def planted(name: str) -> Generator[None]:
    """Have a fault in the library; no name, no fault."""
    with ExitStack() as stack:
        for owner, attribute, instead in PLANTS[name]() if name else ():
            stack.enter_context(patch.object(owner, attribute, instead))
        yield
