"""The rows of one owner, in the order of their versions. Pure.

*Consistency.* Only the owner writes, so there is one history; a copy at version ``v`` holds the newest row of each key
as far as that is not newer than ``v``. Each write has the next version. A deleted row stays as a tombstone until its
time is over; ``floor`` is the highest version of a tombstone that was dropped, so a copy below it, which may hold rows
that nobody will ever tell it to delete, has to begin anew.

Source: the per-owner scheme of scuttlebutt (van Renesse et al. 2008), as in Cassandra's gossip and in chitchat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct


class Row(Struct, frozen=True, gc=False):
    """One row. ``value`` is None once it is deleted."""

    version: int
    value: Any


class Table:
    """One owner's table, or a copy of it."""

    __slots__ = ("floor", "live", "rows", "tombstones", "version")

    def __init__(self) -> None:
        self.version = 0
        self.floor = 0
        self.live = 0
        """How many rows are not deleted."""
        self.rows: dict[str, Row] = {}
        """By key, oldest version first."""
        self.tombstones: dict[str, float] = {}
        """When each deleted row was noticed here, by the clock of the caller; oldest first."""

    def write(self, key: str, value: Any, now: float) -> Row | None:  # noqa: ANN401 - of the user's types
        """Write or, with None, delete a row as the owner, and return what was there."""
        self.version += 1
        return self.put(key, Row(self.version, value), now)

    def put(self, key: str, row: Row, now: float) -> Row | None:
        """Take a row that is newer than all the others."""
        old = self.rows.pop(key, None)  # so that it comes last
        self.rows[key] = row
        self.live += (row.value is not None) - (old is not None and old.value is not None)
        if row.value is None:
            self.tombstones[key] = now
        elif old is not None and old.value is None:
            self.tombstones.pop(key, None)
        return old

    def after(self, have: int) -> Iterator[tuple[str, Row]]:
        """Give the rows above a version, newest first."""
        for key in reversed(self.rows):
            row = self.rows[key]
            if row.version <= have:
                return
            yield key, row

    def collect(self, before: float) -> int:
        """Drop the tombstones noticed before then, and return how many they were."""
        dropped = 0
        for key, at in list(self.tombstones.items()):
            if at >= before:
                break
            del self.tombstones[key]
            self.floor = max(self.floor, self.rows.pop(key).version)
            dropped += 1
        return dropped

    def values(self) -> Iterable[tuple[str, Any]]:
        """Give key and value of each row that is not deleted."""
        return ((key, row.value) for key, row in self.rows.items() if row.value is not None)
