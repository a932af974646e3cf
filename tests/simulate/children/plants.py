"""Faults in what keeps distributed children running, put there on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from foundation.distribution.mover import Mover
from foundation.distribution.placer import Placer
from foundation.processes import EndReason, Host
from foundation.registry.child_index import ChildIndex
from foundation.registry.lookup import NameLookup

Change = tuple[Any, str, Any]
"""Of what, which attribute, what instead."""


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


CHILD_PLANTS: dict[str, Callable[[], Iterator[Change]]] = {
    plant.__name__: plant
    for plant in (
        two_after_move,
        no_adoption,
        unlearnt_end,
        remembered_names,
        stuck_after_move,
        old_snapshot,
    )
}
