"""Register names, find them, and watch them: what the pure parts decide is carried out here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Raw

from foundation.core import sources
from foundation.core.clock import Clock
from foundation.core.identity import NodeId, ProcessId
from foundation.core.roster import Roster
from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout, NameTakenError, NoSuchNameError, NotRunningError
from foundation.registry.child_rows import ChildRows
from foundation.registry.claims import Claims
from foundation.registry.held_rows import HeldRows
from foundation.registry.messages import Claim, Dropped, Flushed, Found, NameMessage, Seek, Won
from foundation.registry.options import RegistryOptions
from foundation.registry.rows import (
    MOVED,
    NAMES,
    NOT_RUNNING,
    TERMINATED,
    NameRow,
    begun,
    holds,
    is_child,
    is_outlived,
    moved,
)
from foundation.registry.seeker import Seeker
from foundation.registry.stamps import ClaimStamps
from foundation.replication import Change, Replication
from foundation.replication.replica import encode

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
_MOST_RETRY_S = 1.0

LostHandler = Callable[[str, int, ProcessId], None]


@dataclass(slots=True)
class _Claimed:
    """A registration that waits for its answer."""

    answer: asyncio.Future[ProcessId | None]
    """None when the name was granted, else who has it."""

    serial: int
    wire_name: str
    metadata: dict[str, Any] | None
    plan: bytes | None
    """Of a child."""
    life: int
    """Of an orphan that is to run here; else 0."""
    retry_s: float
    """How long it waits the next time that it meets another view."""
    waits: bool = False


class Names(ChildRows):
    """The names of all processes of the cluster; an async context manager. Use it on its own event loop only."""

    def __init__(
        self, replication: Replication, options: RegistryOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self.options = options or RegistryOptions()
        self.lost_name: LostHandler = lambda _name, _serial, _winner: None
        """Called when a process here has lost a name to another one: name, serial, winner."""
        self.outlived: LostHandler = lambda _name, _serial, _winner: None
        """Called when a child here is to run no more, as it was terminated or runs elsewhere."""
        super().__init__(replication)
        self._stamps = ClaimStamps(self._replica.me, self.options.max_drift_s, clock or sources.clock())
        rows = HeldRows(self._replica, self.index, self.children)
        self.claims = Claims(self._replica.me, rows, self, self._send, self._conflicts)
        self._seeker = Seeker(self.claims, self._send, self.options)
        self._decoder = msgspec.msgpack.Decoder(list[NameMessage])
        self._claimed: dict[int, _Claimed] = {}
        self._claimed_keys: set[str] = set()
        self._last_number = 0
        self._outgoing: dict[NodeId, list[NameMessage]] = {}
        self._tasks = TaskScope("names")
        self._is_open = False
        self._is_open_matter = asyncio.Event()
        """Something waits for an answer that may have been lost."""
        self._listen()

    def _listen(self) -> None:
        self._replication.watch(NAMES, self._changed)
        self._replication.on_note("names", self._noted)

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._tasks.keep_running(self._look_again, "look again")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        self._events.end()
        await self._tasks.close()
        for claimed in self._claimed.values():
            if not claimed.answer.done():
                claimed.answer.set_exception(NotRunningError("this node stops"))

    # --- registering

    async def register(
        self,
        name: str,
        serial: int,
        wire_name: str = "",
        metadata: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        *,
        plan: bytes | None = None,
        life: int = 0,
    ) -> None:
        """Give a process of this node a name; it is there for this node when this returns, and soon for all.

        With a ``plan`` it is the name of a child, which begins to live, or, with its ``life``, lives on here.

        Raises :class:`NameTakenError`, and :class:`CallTimeout` when the members do not agree in time on who is in, or
        the node that decides about the name does not answer: after a node has vanished that takes a few seconds.
        """
        if not self._is_open:
            message = "this node is stopped and registers no names"
            raise NotRunningError(message)
        key = NAMES + name
        if (owner := self.index.find(key)) is not None:
            raise _taken(name, owner)
        if key in self._claimed_keys:
            message = f"the name {name!r} is being given to another process of this node"
            raise NameTakenError(message)
        self._claimed_keys.add(key)
        answer: asyncio.Future[ProcessId | None] = asyncio.get_running_loop().create_future()
        claimed = _Claimed(
            answer, serial, wire_name, dict(metadata) if metadata else None, plan, life, self.options.retry_s
        )
        limit_s = self.options.register_timeout_s if timeout_s is None else timeout_s
        try:
            owner = await self._claim(key, claimed, limit_s)
        except TimeoutError:
            home = self.claims.home(key)
            message = f"nobody decided in {limit_s} s who has the name {name!r}; node {str(home)[:8]} is to"
            raise CallTimeout(message) from None
        finally:
            self._claimed_keys.discard(key)
        if owner is not None:
            raise _taken(name, owner)

    async def _claim(self, key: str, claimed: _Claimed, limit_s: float) -> ProcessId | None:
        """Return None when the name was granted, else who has it."""
        self._last_number = number = self._last_number + 1
        self._claimed[number] = claimed
        try:
            self.claims.claim(number, key, claimed.serial, claimed.life)
            if claimed.answer.done():  # this node is the name's home: a timer would cost more than that
                return claimed.answer.result()
            self._is_open_matter.set()
            async with asyncio.timeout(limit_s):
                return await claimed.answer
        finally:
            self.claims.give_up(number)
            del self._claimed[number]

    def unregister(self, name: str, serial: int | None = None) -> None:
        """Take a name back from a process of this node; raises :class:`NoSuchNameError` when none here has it."""
        row = self._own(NAMES + name)
        if not holds(row) or serial not in {None, row.serial}:
            message = f"no process of this node has the name {name!r}"
            raise NoSuchNameError(message)
        self._write(NAMES + name, None)

    def update_metadata(
        self, name: str, metadata: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]
    ) -> None:
        """Replace the metadata of a name of this node, or change it by a function of what it was."""
        row = self._own(NAMES + name)
        if not holds(row):
            message = f"no process of this node has the name {name!r}"
            raise NoSuchNameError(message)
        new = metadata(dict(row.metadata or {})) if callable(metadata) else metadata
        self._replication.write(NAMES + name, msgspec.structs.replace(row, metadata=dict(new) or None))

    def release(self, serial: int) -> None:
        """Take all names back from a process of this node; a child keeps its name, and has no process for now."""
        for key in list(self._by_serial.get(serial, ())):
            row = self._own(key)
            if row is not None:
                self._write(key, msgspec.structs.replace(row, serial=NOT_RUNNING) if row.life else None)

    # --- who is in

    def enter(self, members: Roster) -> None:
        """Go by another view: who is up or leaving, and not given up by everybody."""
        self.claims.enter(members)

    def show(self, owner: NodeId) -> None:
        """A node is in: its names are seen."""
        self._tell(self.index.show(owner))
        self.children.look_at(owner)
        for key, row in self.children.held_by(owner):
            self._look_whether_outlived(key, (owner, row))
        self.claims.go_on()

    def hide(self, owner: NodeId) -> None:
        """A node is down or gone: its names are seen no more."""
        self._tell(self.index.hide(owner))
        self.children.look_at(owner)
        self.claims.forget(owner)
        self.claims.go_on()

    # --- what the claims decide: see the port

    def granted(self, number: int, key: str, epoch: int) -> bool:
        """Write the row."""
        claimed = self._claimed.get(number)
        if claimed is None or claimed.answer.done():
            return False
        stamp = self._stamps.next()
        row = NameRow(claimed.serial, epoch, stamp, claimed.wire_name, claimed.metadata, claimed.life, claimed.plan)
        is_new_child = claimed.plan is not None and not claimed.life
        self._write(key, begun(row, self.children.rows(key)) if is_new_child else row)
        claimed.answer.set_result(None)
        return True

    def taken(self, number: int, owner: NodeId, serial: int) -> None:
        """Tell who waits."""
        claimed = self._claimed.get(number)
        if claimed is not None and not claimed.answer.done():
            claimed.answer.set_result(ProcessId(owner, serial))

    def retry(self, number: int) -> None:
        """Claim again in a while."""
        claimed = self._claimed.get(number)
        if claimed is not None and not claimed.waits:
            claimed.waits = True
            asyncio.get_running_loop().call_later(claimed.retry_s, self._again, number, claimed)
            claimed.retry_s = min(claimed.retry_s * 2, _MOST_RETRY_S)

    def _again(self, number: int, claimed: _Claimed) -> None:
        claimed.waits = False
        self.claims.again(number)

    def won(self, verdict: Won) -> None:
        """Write the own row again."""
        row = self._own(verdict.key)
        if not holds(row) or row.epoch >= verdict.epoch or verdict.key[1:] in self._handing_over:
            return
        if row.life:  # it may have another process by now
            life = max(row.life, verdict.life)
            self._write(verdict.key, msgspec.structs.replace(row, epoch=verdict.epoch, life=life))
        elif row.serial == verdict.serial:
            self._write(verdict.key, msgspec.structs.replace(row, epoch=verdict.epoch))

    def lost(self, key: str, owner: NodeId, serial: int, epoch: int) -> None:
        """Give the name back and tell its process."""
        row = self._own(key)
        if holds(row) and row.epoch < epoch:
            self._write(key, None)
            logger.warning("process %s lost the name %r to %s.%d", row.serial, key[1:], owner[:8], serial)
            self.lost_name(key[1:], row.serial, ProcessId(owner, serial))

    # --- inside

    def _changed(self, changes: list[Change]) -> None:
        self._stamps.hear(changes)
        events = self.index.apply(changes)
        self.children.apply(changes)
        for change in changes:
            if change.owner != self._replica.me:
                self.claims.rows_changed(change.owner, change.key)
                if is_child(change.new):
                    self._look_whether_outlived(change.key, (change.owner, change.new))
        self._tell(events)
        if self._awaited:
            self._tell_arrivals(change.key for change in changes)
        self.claims.go_on()
        if not self.claims.is_at_rest:
            self._is_open_matter.set()

    def _look_whether_outlived(self, key: str, other: tuple[NodeId, NameRow]) -> None:
        """Let go of a child as soon as another row takes the place of this node's."""
        row = self._own(key)
        if row is None or not is_outlived((self._replica.me, row), other):
            return
        there, newer = other
        has_moved = newer.life == row.life and newer.serial != TERMINATED
        if has_moved and (row.serial == MOVED or not self.index.is_shown(there)):
            return
        self._write(key, moved(row, there) if has_moved else None)
        if row.serial > NOT_RUNNING:
            self.outlived(key[1:], row.serial, ProcessId(there, newer.serial))

    def _noted(self, source: NodeId, content: Raw) -> None:
        for message in self._decoder.decode(content):
            if isinstance(message, Seek | Found):
                self._seeker.receive(source, message)
                continue
            if type(message) is Flushed:
                self._replication.seek(source, message.versions)
            elif type(message) is Claim or type(message) is Dropped:
                self._replication.seek(source, {source: message.version})
            self.claims.receive(source, message)
        if not self.claims.is_at_rest:
            self._is_open_matter.set()

    def _send(self, node: NodeId, message: NameMessage) -> None:
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._send_all)
        self._outgoing.setdefault(node, []).append(message)

    def _send_all(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for node, messages in outgoing.items():
            self._replication.note(node, "names", encode(messages))

    async def _look_again(self) -> None:
        """Say again what may have been lost: everything is asked until it is answered."""
        while True:
            if self.claims.is_at_rest:
                self._is_open_matter.clear()
                await self._is_open_matter.wait()
            await asyncio.sleep(_LOOK_AGAIN_S)
            self._repeat()

    def _repeat(self) -> None:
        for number in self.claims.open_claims:
            if not self._claimed[number].waits:
                self.claims.again(number)
        self.claims.look_again()


def _taken(name: str, owner: ProcessId) -> NameTakenError:
    return NameTakenError(f"the name {name!r} belongs to {owner}")
