"""Which children all nodes keep running together, and which of them have lost their node. Pure.

*Consistency.* The view of this node, which follows the owners' tables. A child is an orphan as soon as no node that is
in holds it; who runs it then, the home of its name decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foundation.core.identity import NodeId
from foundation.registry.rows import NAMES, TERMINATED, NameRow, decisive, holds, is_child, moved_to
from foundation.replication.replica import Change, Replica

Held = tuple[NodeId, NameRow]


class ChildIndex:
    """Children by the keys of their names, kept up to date by :meth:`apply` and :meth:`look_at`."""

    def __init__(self, replica: Replica, is_shown: Callable[[NodeId], bool]) -> None:
        """``is_shown`` tells whether a node is in."""
        self._replica = replica
        self._is_shown = is_shown
        self._holders: dict[str, NodeId | list[NodeId]] = {}
        """In whose tables there are rows about a child."""
        self.orphans: dict[str, None] = {}
        """Children that are to run, and that no node that is in holds."""
        self._handed_over: dict[NodeId, set[str]] = {}
        """Children that were handed over to a node, as long as that may be all that is known of it."""

    def __len__(self) -> int:
        """Count the children, with those that were terminated lately."""
        return len(self._holders)

    def __iter__(self) -> Iterator[str]:
        """Give the keys of all."""
        return iter(self._holders)

    def rows(self, key: str) -> list[Held]:
        """Return all rows about a child; a table may be ahead of what :meth:`apply` was told."""
        holders = self._holders.get(key)
        if holders is None:
            return []
        nodes = holders if isinstance(holders, list) else [holders]
        found = [(node, self._replica.value(node, key)) for node in nodes]
        return [(node, row) for node, row in found if is_child(row)]

    def best(self, key: str) -> Held | None:
        """Return the row that says what is to become of a child; None when nobody has heard of it."""
        return decisive(self.rows(key))

    def alive(self, key: str) -> Held | None:
        """Return what :meth:`best` does, for a child that is to run; None also for one that was terminated."""
        best = self.best(key)
        return None if best is None or best[1].serial == TERMINATED else best

    def is_expected(self, key: str) -> bool:
        """Tell whether a child is to run."""
        return self.alive(key) is not None

    def orphan_life(self, key: str) -> int:
        """Return the life of an orphan; 0 for all others."""
        if key not in self.orphans or (best := self.best(key)) is None:
            return 0
        return best[1].life

    def held_by(self, owner: NodeId) -> list[tuple[str, NameRow]]:
        """Return the children that a node holds, as its table says."""
        table = self._replica.tables.get(owner)
        if table is None:
            return []
        return [(key, row) for key, row in table.values() if key[:1] == NAMES and is_child(row) and holds(row)]

    def has_any(self, owner: NodeId) -> bool:
        """Tell whether a node's table says anything about a child, also that it was terminated."""
        table = self._replica.tables.get(owner)
        return table is not None and any(key[:1] == NAMES and is_child(row) for key, row in table.values())

    def apply(self, changes: list[Change]) -> None:
        """Take changes of rows, which the tables have already."""
        tables = self._replica.tables
        for owner, key, old, new in changes:
            if not (is_child(old) or is_child(new)):
                continue
            table = tables.get(owner)
            row = None if table is None else table.rows.get(key)
            if row is not None and is_child(row.value):
                self._add(key, owner)
                if (target := moved_to(row.value)) is not None:
                    self._handed_over.setdefault(target, set()).add(key)
            else:
                self._remove(key, owner)
            self._look_at(key)

    def look_at(self, owner: NodeId) -> None:
        """Take that a node is in, or no longer."""
        table = self._replica.tables.get(owner)
        for key, row in [] if table is None else table.values():
            if key[:1] == NAMES and is_child(row):
                self._look_at(key)
        if owner in self._handed_over and not self._is_shown(owner):
            for key in sorted(self._handed_over.pop(owner)):
                self._look_at(key)

    def _look_at(self, key: str) -> None:
        rows = self.rows(key)
        best = decisive(rows)
        if best is None or best[1].serial == TERMINATED or self._is_held(rows, best[1]):
            self.orphans.pop(key, None)
        else:
            self.orphans[key] = None

    def _is_held(self, rows: list[Held], best: NameRow) -> bool:
        """Tell whether a node that is in has a child, or is just about to say so."""
        target = moved_to(best)
        if target is not None and self._is_shown(target):
            return True
        return any(holds(row) and self._is_shown(node) for node, row in rows)

    def _add(self, key: str, owner: NodeId) -> None:
        holders = self._holders.get(key)
        if holders is None:
            self._holders[key] = owner
        elif isinstance(holders, list):
            if owner not in holders:
                holders.append(owner)
        elif holders != owner:
            self._holders[key] = [holders, owner]

    def _remove(self, key: str, owner: NodeId) -> None:
        holders = self._holders.get(key)
        if holders == owner:
            del self._holders[key]
        elif isinstance(holders, list) and owner in holders:
            holders.remove(owner)
            if len(holders) == 1:
                self._holders[key] = holders[0]
