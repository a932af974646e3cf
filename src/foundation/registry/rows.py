"""The rows of a node's table that say which names its processes have."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

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


def winner_of(rows: list[tuple[NodeId, NameRow]]) -> tuple[NodeId, NameRow]:
    """Return which of several owners of one name keeps it: the older claim, by node id if they are equally old."""
    return min(rows, key=lambda owned: (owned[1].stamp, owned[0]))


def shown_of(rows: list[tuple[NodeId, NameRow]]) -> tuple[NodeId, NameRow]:
    """Return whom readers see until that is decided: the highest epoch, or else the one that will win."""
    return min(rows, key=lambda owned: (-owned[1].epoch, owned[1].stamp, owned[0]))
