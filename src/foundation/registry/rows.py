"""The rows of a node's table that say which names its processes have."""

from __future__ import annotations

from typing import Any, TypeGuard

from msgspec import Struct, structs

from foundation.core.identity import NodeId

NAMES = "n"
"""The kind of these rows: their keys are this and the name."""


class NameRow(Struct, array_like=True, frozen=True, gc=False):
    """One name of one process of the node whose table this is."""

    serial: int
    epoch: int
    """Which grant of the name this is; the highest holds."""
    stamp: int
    """When the process claimed the name, by the hybrid clock; a grant after a conflict does not change it."""
    wire_name: str = ""
    """Of the class of the process."""
    metadata: dict[str, Any] | None = None
    life: int = 0
    """Of a child, which all nodes keep running together: when it was started, by the hybrid clock; else 0."""
    plan: bytes | None = None
    """Of a child: what it takes to start it anew; none once it was terminated. What is in it concerns other layers."""
    after: int = 0
    """Of a child: all its lives up to this one are over, in whatever table they still stand."""


NOT_RUNNING = 0
"""As serial: the name is held for a child that has no process at the moment, as it starts, or is being moved."""
TERMINATED = -1
"""As serial: the child has been terminated in this life, and is not to be started again by who has not heard of it."""

MOVED = -2
"""As serial: the child has been handed over to the node that :func:`moved_to` tells, whose row says the rest."""
_TO = "to"


def moved(row: NameRow, node: NodeId) -> NameRow:
    """Return a row that says that its child was handed over to a node."""
    return structs.replace(row, serial=MOVED, metadata={_TO: node})


def moved_to(row: NameRow) -> NodeId | None:
    """Return the node to which a child was handed over; None where it was not."""
    return NodeId(str((row.metadata or {}).get(_TO))) if row.serial == MOVED else None


def holds(row: object) -> TypeGuard[NameRow]:
    """Tell whether a row gives its name to somebody."""
    return type(row) is NameRow and row.serial >= NOT_RUNNING


def is_child(row: object) -> TypeGuard[NameRow]:
    """Tell whether a row is about a child, also about one that was terminated."""
    return type(row) is NameRow and row.life > 0


def contenders(rows: list[tuple[NodeId, NameRow]]) -> list[tuple[NodeId, NameRow]]:
    """Leave out whose child only goes on because its node has not heard enough yet: see :func:`is_outlived`."""
    if len(rows) <= 1:
        return rows
    return [one for one in rows if not any(is_outlived(one, other) for other in rows)]


def is_outlived(one: tuple[NodeId, NameRow], other: tuple[NodeId, NameRow]) -> bool:
    """Tell whether another row about the same child takes the place of one, without any decision.

    It does when the child was terminated, or started anew by who knew that, or when it has been moved: then both rows
    have the same claim, and the one in the higher epoch is at the new place. Lives of which neither is after the other
    began where the other was not heard of; if both are held, that is a conflict like any other.
    """
    (node, row), (there, newer) = one, other
    if 0 < row.life <= newer.after:
        return row.serial != TERMINATED or row.life < newer.life
    if not row.life or row.life != newer.life or row.serial == TERMINATED:
        return False
    return newer.stamp == row.stamp and (newer.epoch, there) > (row.epoch, node)


def decisive(rows: list[tuple[NodeId, NameRow]]) -> tuple[NodeId, NameRow] | None:
    """Return the row that says what is to become of a child; None when there is none.

    Of lives that began apart from each other, one that goes on speaks for the child; of several, the highest epoch.
    """
    return max(contenders(rows), key=_weight, default=None)


def _weight(held: tuple[NodeId, NameRow]) -> tuple[bool, int, int, NodeId]:
    node, row = held
    return row.serial != TERMINATED, row.epoch, row.life, node


def begun(row: NameRow, rows: list[tuple[NodeId, NameRow]]) -> NameRow:
    """Return the row of a child that begins a life after all that are in some rows."""
    last = max((other.life for _, other in rows), default=0)
    return structs.replace(row, life=max(row.stamp, last + 1), after=last)


def terminated(row: NameRow, rows: list[tuple[NodeId, NameRow]]) -> NameRow:
    """Return a row that says that a child is not to run any more, in none of the lives that are in some rows."""
    last = max((other.life for _, other in rows), default=row.life)
    return structs.replace(row, serial=TERMINATED, epoch=row.epoch + 1, metadata=None, plan=None, life=last, after=last)


def winner_of(rows: list[tuple[NodeId, NameRow]]) -> tuple[NodeId, NameRow]:
    """Return which of several owners of one name keeps it: the older claim, by node id if they are equally old."""
    return min(rows, key=lambda owned: (owned[1].stamp, owned[0]))


def shown_of(rows: list[tuple[NodeId, NameRow]]) -> tuple[NodeId, NameRow]:
    """Return whom readers see until that is decided: the highest epoch, or else the one that will win."""
    return min(rows, key=lambda owned: (-owned[1].epoch, owned[1].stamp, owned[0]))
