"""Carry out a change: ask everybody for a promise, write the row, see that everybody goes by it, else take it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from foundation.config.changes import note_of
from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.errors import CallError, NoSuchProcessError, ReconfigurationRefused
from foundation.membership import Member, MemberStatus
from foundation.reconfiguration.promising import PROMISE_S, Promising, Proposal, Verdict
from foundation.reconfiguration.report import (
    FAILED,
    REFUSED,
    UNCONFIRMED,
    UNREACHABLE,
    KeyReport,
    ReconfigurationReport,
)
from foundation.reconfiguration.rows import ROW, Written, state_of
from foundation.reconfiguration.taking import Taking
from foundation.replication import Replication

_ASK_S = 5.0
_CONFIRM_S = 5.0
_LOOK_AGAIN_S = 0.5


class Others(Protocol):
    """The other nodes, as the initiator of a change speaks to them."""

    async def prepare(self, node: NodeId, proposal: Proposal, timeout_s: float) -> Verdict:
        """Ask a node for a promise; raises CallError."""
        ...

    async def release(self, node: NodeId, number: int) -> None:
        """Give a node its promise back, if it can be reached."""
        ...


class Initiating:
    """Carries out the changes that are asked for at this node, one at a time."""

    def __init__(
        self,
        taking: Taking,
        promising: Promising,
        others: Others,
        replication: Replication,
        members: Callable[[], Sequence[Member]],
        clock: Clock,
    ) -> None:
        self._taking = taking
        self._promising = promising
        self._others = others
        self._replica = replication.replica
        self._members = members
        self._clock = clock
        self._number = 0
        self._lock = asyncio.Lock()
        self._told = asyncio.Event()
        taking.watchers.append(self._told.set)

    async def change(self, values: dict[str, Any]) -> ReconfigurationReport:
        """Change these keys on all nodes; raises :class:`ReconfigurationRefused`, and then no node goes by them."""
        async with self._lock:
            asked = self._up()
            stamp = await self._promised(asked, values)
            before = {key: self._taking.known.get(key) for key in values}
            made = self._write({key: (stamp, value) for key, value in values.items()})
            await self._confirmed(asked, made)
            for member in asked:
                for key in values:
                    state = self._state(member, key, made[key])
                    if state.startswith((FAILED, REFUSED)):
                        await self._take_back(asked, made, before)
                        raise ReconfigurationRefused(member.name, key, state.partition(": ")[2])
            return self._report(asked, made)

    async def _promised(self, asked: Sequence[Member], values: dict[str, Any]) -> int:
        """Return the stamp of a change that all have promised to take."""
        self._number += 1
        me, name = self._replica.me, self._taking.config.name
        proposal = Proposal(me, name, self._number, self._promising.stamp(), values)
        until = self._clock.now() + PROMISE_S / 2
        # One of all is asked first, the same by all nodes: of two changes at the same time one gets the promises.
        newest = 0
        try:
            for some in (asked[:1], asked[1:]):
                newest = max([newest, *await self._ask_all(some, proposal)])
            self._check_time(until)
        except BaseException:
            await asyncio.gather(*(self._release(member.node_id, proposal.number) for member in asked))
            raise
        return max(proposal.stamp, newest + 1)

    def _check_time(self, until: float) -> None:
        if self._clock.now() > until:
            reason = "too long went by until all nodes had answered; try again"
            raise ReconfigurationRefused(self._taking.config.name, "", reason)

    async def _ask_all(self, some: Sequence[Member], proposal: Proposal) -> list[int]:
        answers = await asyncio.gather(*(self._ask(member, proposal) for member in some), return_exceptions=True)
        for answer in answers:  # once all have answered, so that nobody promises after the promises are taken back
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, int)]

    async def _ask(self, member: Member, proposal: Proposal) -> int:
        """Return the newest stamp that a member knows; raises :class:`ReconfigurationRefused`."""
        verdict = await self._verdict(member, proposal)
        if verdict.why_not:
            raise ReconfigurationRefused(member.name, verdict.key, verdict.why_not)
        return verdict.newest

    async def _verdict(self, member: Member, proposal: Proposal) -> Verdict:
        if member.node_id == self._replica.me:
            return self._promising.answer(proposal)
        try:
            return await self._others.prepare(member.node_id, proposal, _ASK_S)
        except NoSuchProcessError:
            return Verdict(why_not="its version of foundation takes no changes while it runs; update it")
        except CallError as error:
            if member.node_id not in {other.node_id for other in self._up()}:
                return Verdict()
            return Verdict(why_not=f"it does not answer ({str(error).splitlines()[0]})")

    async def _release(self, node: NodeId, number: int) -> None:
        if node == self._replica.me:
            self._promising.release(node, number)
        else:
            await self._others.release(node, number)

    def _write(self, values: Mapping[str, tuple[int, Any]]) -> dict[str, Written]:
        name = self._taking.config.name
        made = {key: Written(stamp, name, value) for key, (stamp, value) in values.items()}
        self._taking.take(made)
        return made

    async def _take_back(
        self, asked: Sequence[Member], made: Mapping[str, Written], before: Mapping[str, Written | None]
    ) -> None:
        """Write what was before over what was made, unless somebody has changed it meanwhile."""
        stamp, known = self._promising.stamp(), self._taking.known
        still = [key for key, written in made.items() if known[key] == written]
        former = {key: None if (was := before[key]) is None else was.value for key in still}
        await self._confirmed(asked, self._write({key: (stamp, value) for key, value in former.items()}))

    async def _confirmed(self, asked: Iterable[Member], made: Mapping[str, Written]) -> None:
        """Wait until all who were asked go by it, as far as they are still there and quick about it."""
        until = self._clock.now() + _CONFIRM_S
        while self._clock.now() < until:
            self._told.clear()
            up = {member.node_id for member in self._up()}
            if not any(m.node_id in up and UNCONFIRMED in self._states(m, made) for m in asked):
                return
            try:
                async with asyncio.timeout(_LOOK_AGAIN_S):  # somebody may have gone meanwhile
                    await self._told.wait()
            except TimeoutError:
                continue

    def _states(self, member: Member, made: Mapping[str, Written]) -> list[str]:
        return [self._state(member, key, written) for key, written in made.items()]

    def _state(self, member: Member, key: str, written: Written) -> str:
        return state_of(self._replica.value(member.node_id, ROW), key, written)

    def _report(self, asked: Sequence[Member], made: Mapping[str, Written]) -> ReconfigurationReport:
        waiting = [m for m in self._members() if m.status is MemberStatus.UNREACHABLE]
        changes: list[KeyReport] = []
        for key, written in made.items():
            nodes = {m.name: self._state(m, key, written) for m in asked}
            nodes |= {m.name: UNREACHABLE for m in waiting if nodes.get(m.name, UNCONFIRMED) == UNCONFIRMED}
            changes.append(KeyReport(key, written.value, nodes, note_of(key)))
        return ReconfigurationReport(changes)

    def _up(self) -> list[Member]:
        return sorted((m for m in self._members() if m.status is MemberStatus.UP), key=lambda m: m.node_id)
