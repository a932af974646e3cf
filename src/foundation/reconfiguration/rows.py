"""What nodes tell each other about settings: one row of each node holds all that it knows. Pure.

*Consistency.* Of two values of a key the later stamp holds, the same on every node, in whatever order they come. Each
node writes all that it has heard into its own row, so a value lives as long as any node that has it. A value that was
taken back stays as None with its stamp, or an older one would come back after a partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from foundation.reconfiguration.report import UNCONFIRMED

SETTINGS = "s"
"""The kind of the rows."""

ROW = f"{SETTINGS}ettings"
"""The key of the one row that each node writes."""


class Written(Struct, array_like=True, frozen=True):
    """What was said last about one key."""

    stamp: int
    """When, by a hybrid logical clock."""

    node: str
    """The name of the node that said it."""

    value: Any
    """A plain value, ``"none"`` for a value of None; None when what was said before was taken back."""


class SettingsRow(Struct, array_like=True, frozen=True):
    """What one node knows, and how it goes by it."""

    written: dict[str, Written]
    states: dict[str, str]
    """By key, one of the words of :mod:`foundation.reconfiguration.report`."""


def newer(known: Mapping[str, Written], heard: Mapping[str, Written]) -> dict[str, Written]:
    """Return what was heard that holds instead of what is known."""
    return {key: written for key, written in heard.items() if key not in known or _rank(written) > _rank(known[key])}


def state_of(row: object, key: str, written: Written) -> str:
    """Return how the node of a row goes by what was said about a key, or by something later."""
    if not isinstance(row, SettingsRow) or key not in row.written or row.written[key].stamp < written.stamp:
        return UNCONFIRMED
    return row.states.get(key, UNCONFIRMED)


def newest_stamp(known: Mapping[str, Written]) -> int:
    """Return the latest stamp; 0 when nothing is known."""
    return max((written.stamp for written in known.values()), default=0)


def _rank(written: Written) -> tuple[int, str, str]:
    return (
        written.stamp,
        written.node,
        repr(written.value),
    )  # no two stamps are alike, but if they are, all choose alike
