"""Wait until other nodes hold what this one has written, and this one holds what they had: one round trip of notes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw, Struct

from foundation.core.identity import NodeId
from foundation.errors import CallTimeout
from foundation.replication.replica import encode
from foundation.replication.replication import Replication

_ASK_AGAIN_S = 0.5
_SERVICE = "sync"
_MOST_ASKED = 64


class Ask(Struct, array_like=True, tag=1, frozen=True):
    """Tell me when you hold my table up to this version."""

    number: int
    version: int


class Held(Struct, array_like=True, tag=2, frozen=True):
    """I do, and hold all tables as far as this."""

    number: int
    versions: dict[NodeId, int]


@dataclass(slots=True)
class _Waiting:
    """One who waits until all have confirmed."""

    confirmed: set[NodeId] = field(default_factory=set[NodeId])
    needed: dict[NodeId, int] = field(default_factory=dict[NodeId, int])
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Sync:
    """Ask the other nodes how far they have come, and answer when they ask."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._replica = replication.replica
        self._decoder = msgspec.msgpack.Decoder(Ask | Held)
        self._waiting: dict[int, _Waiting] = {}
        self._asked: dict[NodeId, dict[int, int]] = {}
        """Versions of their own tables up to which others have asked, by node and number."""
        self._last = 0
        replication.on_note(_SERVICE, self._noted)
        replication.arrived.append(self._arrived)

    async def wait(
        self, members: Callable[[], Collection[NodeId]], name_of: Callable[[NodeId], str], timeout_s: float | None
    ) -> None:
        """Return when all members hold what this node had written when it was called, and it holds what they had.

        ``members`` is asked again meanwhile: who goes is not waited for. Raises :class:`CallTimeout` with the names of
        those who did not confirm, or whose rows did not come.
        """
        self._last = number = self._last + 1
        version = self._replica.own.version
        waiting = self._waiting[number] = _Waiting()
        expected = set(members())
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_over(waiting, expected := expected & set(members())):
                    for node in expected - waiting.confirmed:
                        self._replication.note(node, _SERVICE, encode(Ask(number, version)))
                    await self._look(waiting, expected)
        except TimeoutError:
            silent = sorted(map(name_of, expected - waiting.confirmed))
            behind = sorted(map(name_of, self._missing(waiting)))
            what = [f"no confirmation came from {', '.join(silent)}"] if silent else []
            what += [f"rows of {', '.join(behind)} are missing"] if behind else []
            message = f"not in sync after {timeout_s} s: {'; '.join(what)}"
            raise CallTimeout(message) from None
        finally:
            del self._waiting[number]

    async def _look(self, waiting: _Waiting, expected: set[NodeId]) -> None:
        """Wait until it is over, for a while."""
        try:
            async with asyncio.timeout(_ASK_AGAIN_S):
                while not self._is_over(waiting, expected):
                    waiting.changed.clear()
                    await waiting.changed.wait()
        except TimeoutError:
            pass

    def _is_over(self, waiting: _Waiting, expected: set[NodeId]) -> bool:
        return expected <= waiting.confirmed and not self._missing(waiting)

    def _missing(self, waiting: _Waiting) -> list[NodeId]:
        replica = self._replica
        return [
            owner
            for owner, version in waiting.needed.items()
            if owner != replica.me and replica.version(owner) < version and not replica.ignores(owner)
        ]

    def _noted(self, source: NodeId, content: Raw) -> None:
        message = self._decoder.decode(content)
        if isinstance(message, Ask):
            asked = self._asked.setdefault(source, {})
            if len(asked) < _MOST_ASKED:
                asked[message.number] = message.version
            self._replication.seek(source, {source: message.version})
            self._answer(source)
        elif (waiting := self._waiting.get(message.number)) is not None:
            waiting.confirmed.add(source)
            for owner, version in message.versions.items():
                waiting.needed[owner] = max(version, waiting.needed.get(owner, 0))
            self._replication.seek(source, message.versions)
            waiting.changed.set()

    def _arrived(self) -> None:
        """Look again, because rows may have come."""
        for source in list(self._asked):
            self._answer(source)
        for waiting in self._waiting.values():
            waiting.changed.set()

    def _answer(self, source: NodeId) -> None:
        replica = self._replica
        asked = self._asked[source]
        held = replica.version(source)
        due = [number for number, version in asked.items() if version <= held or replica.ignores(source)]
        if due:
            versions = dict(replica.digest(answer_wanted=False).versions)
            for number in due:
                del asked[number]
                self._replication.note(source, _SERVICE, encode(Held(number, versions)))
        if not asked:
            del self._asked[source]
