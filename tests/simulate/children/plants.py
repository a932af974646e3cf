"""Faults in what keeps distributed children running, put there on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from foundation.distribution.mover import Mover
from foundation.distribution.placer import Placer
from foundation.errors import NodeDown
from foundation.processes import EndReason, Host
from foundation.processes.calling import reference
from foundation.registry import child_rows, names, rows
from foundation.registry.child_index import ChildIndex, Held
from foundation.registry.lookup import NameLookup

Change = tuple[Any, str, Any]
"""Of what, which attribute, what instead."""

_AGAIN_S = 0.4


def two_after_move() -> Iterator[Change]:
    """A process that has been moved goes on where it was, too."""
    end = Host.end

    def careless(self: Any, serial: int, reason: str, kind: EndReason) -> None:
        if kind is not EndReason.MOVED:
            end(self, serial, reason, kind)

    yield Host, "end", careless


def no_adoption() -> Iterator[Change]:
    """Nobody looks for children that have lost their node."""
    yield Placer, "look", lambda _self: None


def unlearnt_end() -> Iterator[Change]:
    """When a node leaves, the others forget which children it has terminated."""
    yield ChildIndex, "has_any", lambda _self, _owner: False


def remembered_names() -> Iterator[Change]:
    """Who has found a name once never looks again."""
    known = NameLookup.known

    def remembering(self: Any, name: str) -> Any:
        found = known(self, name)
        remembered = self.__dict__.setdefault("_remembered", {})
        return remembered.setdefault(name, found) if found is not None else found

    yield NameLookup, "known", remembering


def stuck_after_move() -> Iterator[Change]:
    """A process that could not be moved handles nothing any more."""
    hand_over = Mover._hand_over_process

    async def stuck(self: Any, *args: Any) -> Any:
        outcome = await hand_over(self, *args)
        if outcome.result != "started":
            await asyncio.Event().wait()
        return outcome

    yield Mover, "_hand_over_process", stuck


def old_snapshot() -> Iterator[Change]:
    """A process is moved with the state that it had when it was moved first."""
    snapshot = Mover._snapshot
    first: dict[str, bytes | None] = {}

    async def old(self: Any, process: Any) -> bytes | None:
        state = await snapshot(self, process)
        return first.setdefault(process.strain, state)

    yield Mover, "_snapshot", old


def ended_by_strangers() -> Iterator[Change]:
    """That a child was terminated ends all of that name, also those that were started since where it was unknown."""
    is_outlived = rows.is_outlived

    def careless(one: Held, other: Held) -> bool:
        return is_outlived(one, other) or (other[1].serial == rows.TERMINATED != one[1].serial)

    for where in (rows, names, child_rows):
        yield where, "is_outlived", careless


def followed_when_down() -> Iterator[Change]:
    """A call of a child whose node is gone is made again, as if it had surely not been executed."""
    call_by_name = reference._call_by_name

    async def careless(*args: Any) -> Any:
        try:
            return await call_by_name(*args)
        except NodeDown as error:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    return await call_by_name(*args)
            raise error from None

    yield reference, "_call_by_name", careless


CHILD_PLANTS: dict[str, Callable[[], Iterator[Change]]] = {
    plant.__name__: plant
    for plant in (
        two_after_move,
        no_adoption,
        unlearnt_end,
        remembered_names,
        stuck_after_move,
        old_snapshot,
        ended_by_strangers,
        followed_when_down,
    )
}
