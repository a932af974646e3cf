"""Which names stand for what, as one node sees it: the rows of all owners that are in. Pure.

*Consistency.* The view of this node, which follows the owners' tables; look-ups take no round trip. When two rows have
one name, readers see the one in the higher epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from foundation.core.identity import NodeId, ProcessId
from foundation.registry.events import NameEvent, NameReason
from foundation.registry.ports import Owned
from foundation.registry.rows import NAMES, NOT_RUNNING, NameRow, holds, shown_of
from foundation.replication.replica import Change, Replica

Seen = tuple[NodeId, NameRow] | None


class NameIndex:
    """Names and their owners, kept up to date by :meth:`apply`, :meth:`show` and :meth:`hide`."""

    def __init__(self, replica: Replica, conflicts: dict[str, None]) -> None:
        """``conflicts`` is kept up to date too: the keys of names with more than one owner."""
        self._replica = replica
        self._shown: set[NodeId] = {replica.me}
        self._owners: dict[str, NodeId | list[NodeId]] = {}
        self._conflicts = conflicts
        self.is_watched = False
        """Whether anybody wants the events; without them, taking many rows is quicker."""

    def __len__(self) -> int:
        """Count the names."""
        return len(self._owners)

    def __iter__(self) -> Iterator[str]:
        """Give all keys."""
        return iter(self._owners)

    def find(self, key: str) -> ProcessId | None:
        """Return whose a name is."""
        owner = self._owners.get(key)
        if owner is None:
            return None
        if isinstance(owner, list):
            seen = self.see(key)
            return None if seen is None else ProcessId(seen[0], seen[1].serial)
        row = self._replica.value(owner, key)
        return ProcessId(owner, row.serial) if holds(row) and row.serial != NOT_RUNNING else None

    def see(self, key: str) -> Seen:
        """Return whose a name is, with the row that says so; None also while its child has no process."""
        return _seen(self.owned(key))

    def owned(self, key: str) -> Owned:
        """Return all who have a name: more than one while a conflict waits to be decided."""
        owner = self._owners.get(key)
        if owner is None:
            return []
        nodes = owner if isinstance(owner, list) else [owner]
        found = [(node, self._replica.value(node, key)) for node in nodes]
        return [(node, row) for node, row in found if holds(row)]  # of several changes some are still to be applied

    def top_epoch(self, key: str) -> int:
        """Return the highest epoch of a name in any table, shown or not."""
        rows = (table.rows.get(key) for table in self._replica.tables.values())
        return max((row.value.epoch for row in rows if row is not None and type(row.value) is NameRow), default=0)

    def is_held(self, key: str) -> bool:
        """Tell whether somebody has a name, also for a child that has no process at the moment."""
        return key in self._owners

    def is_shown(self, owner: NodeId) -> bool:
        """Tell whether the names of a node's processes are seen."""
        return owner in self._shown

    def apply(self, changes: list[Change]) -> list[NameEvent]:
        """Take changes of rows, which the tables have already."""
        events: list[NameEvent] = []
        for owner, key, old, new in _merged(changes) if len(changes) > 1 else changes:
            if owner not in self._shown:
                continue
            if not self.is_watched and old is None and key not in self._owners and holds(new):
                self._owners[key] = owner
                continue
            old_row = old if holds(old) else None
            new_row = new if holds(new) else None
            was_conflict = key in self._conflicts
            before = self._before(key, owner, old_row) if was_conflict or key in self._owners else None
            if new_row is None:
                self._remove(key, owner)
            elif old_row is None:
                self._add(key, owner)
            after = self.see(key)
            if (event := _event(key, before, after, was_conflict=was_conflict)) is not None:
                events.append(event)
        return events

    def show(self, owner: NodeId) -> list[NameEvent]:
        """Let the names of a node's processes be seen; it is in."""
        if owner in self._shown:
            return []
        self._shown.add(owner)
        table = self._replica.tables.get(owner)
        rows = [] if table is None else _names(table.values())
        return self.apply([Change(owner, key, None, row) for key, row in rows])

    def hide(self, owner: NodeId) -> list[NameEvent]:
        """Let the names of a node's processes be seen no more: it is down, or gone."""
        if owner not in self._shown:
            return []
        table = self._replica.tables.get(owner)
        rows = [] if table is None else list(_names(table.values()))
        if not self.is_watched:
            for key, _ in rows:
                self._remove(key, owner)
            self._shown.discard(owner)
            return []
        events = self.apply([Change(owner, key, row, None) for key, row in rows])
        self._shown.discard(owner)
        return [_because_of_node(event) for event in events]

    # --- inside

    def _before(self, key: str, owner: NodeId, old: NameRow | None) -> Seen:
        """Return what was seen until a row changed that the table has in its new form already."""
        holders = self._owners.get(key)
        nodes = holders if isinstance(holders, list) else [] if holders is None else [holders]
        rows: Owned = []
        for node in nodes:
            row = old if node == owner else self._replica.value(node, key)
            if holds(row):
                rows.append((node, row))
        return _seen(rows)

    def _add(self, key: str, owner: NodeId) -> None:
        holders = self._owners.get(key)
        if holders is None:
            self._owners[key] = owner
        elif isinstance(holders, list):
            if owner not in holders:
                holders.append(owner)
        elif holders != owner:
            self._owners[key] = [holders, owner]
            self._conflicts[key] = None

    def _remove(self, key: str, owner: NodeId) -> None:
        holders = self._owners.get(key)
        if holders == owner:
            del self._owners[key]
        elif isinstance(holders, list) and owner in holders:
            holders.remove(owner)
            if len(holders) == 1:
                self._owners[key] = holders[0]
                self._conflicts.pop(key, None)


def _names(values: Iterable[tuple[str, object]]) -> Iterator[tuple[str, NameRow]]:
    return ((key, row) for key, row in values if key[:1] == NAMES and holds(row))


def _seen(owned: Owned) -> Seen:
    shown = shown_of(owned) if owned else None
    return shown if shown is not None and shown[1].serial != NOT_RUNNING else None


def _merged(changes: list[Change]) -> Iterable[Change]:
    """Make one change of those of one row: the tables know only what it has become."""
    merged: dict[tuple[NodeId, str], Change] = {}
    for change in changes:
        at = (change.owner, change.key)
        before = merged.get(at)
        merged[at] = change if before is None else change._replace(old=before.old)
    return merged.values()


def _event(key: str, before: Seen, after: Seen, *, was_conflict: bool) -> NameEvent | None:
    if before is None and after is None:
        return None
    was = None if before is None else ProcessId(before[0], before[1].serial)
    now = None if after is None else ProcessId(after[0], after[1].serial)
    if after is None:
        return NameEvent(key[1:], NameReason.UNREGISTERED, None, was, None)
    metadata = after[1].metadata
    if before is None:
        return NameEvent(key[1:], NameReason.REGISTERED, now, None, metadata)
    if was != now:
        return NameEvent(key[1:], NameReason.CONFLICT if was_conflict else NameReason.MOVED, now, was, metadata)
    if before[1].metadata != metadata:
        return NameEvent(key[1:], NameReason.UPDATED, now, was, metadata)
    return None


def _because_of_node(event: NameEvent) -> NameEvent:
    if event.reason is not NameReason.UNREGISTERED:
        return event
    return NameEvent(event.name, NameReason.NODE_DOWN, None, event.previous, None)
