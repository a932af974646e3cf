"""The own rows about names, and what they say of children that this node holds, has handed over, or has terminated."""

from __future__ import annotations

import msgspec

from foundation.core.identity import NodeId
from foundation.registry.lookup import NameLookup
from foundation.registry.rows import (
    MOVED,
    NAMES,
    NOT_RUNNING,
    TERMINATED,
    NameRow,
    holds,
    is_outlived,
    moved,
    terminated,
)
from foundation.replication import Replication


class ChildRows(NameLookup):
    """Writes the rows of this node."""

    def __init__(self, replication: Replication) -> None:
        super().__init__(replication.replica)
        self._replication = replication
        self._handing_over: set[str] = set()

    def held_child(self, name: str) -> NameRow | None:
        """Return the own row of a child that this node holds."""
        row = self._own(NAMES + name)
        return row if holds(row) and row.life else None

    def take_over(self, name: str, row: NameRow) -> bool:
        """Hold a child that its node hands over, as its row there says; False when others have it, or it is no more."""
        key = NAMES + name
        taken = msgspec.structs.replace(row, serial=NOT_RUNNING, epoch=row.epoch + 1)
        others = [held for held in self.children.rows(key) if held[0] != self._replica.me]
        if self.held_child(name) is not None or any(is_outlived((self._replica.me, taken), other) for other in others):
            return False
        self._write(key, taken)
        return True

    def hold_again(self, name: str, row: NameRow) -> bool:
        """Hold a child again that was to be handed over: the row is as it was, in an epoch above that of the taker.

        False when it has been terminated meanwhile, there or here.
        """
        self._handing_over.discard(name)
        if any(0 < row.life <= other.after for _, other in self.children.rows(NAMES + name)):
            return False
        self._write(NAMES + name, msgspec.structs.replace(row, epoch=row.epoch + 2))
        return True

    def run_child(self, name: str, serial: int) -> None:
        """Say which process a child that this node holds has now; none, if ``serial`` is `NOT_RUNNING`."""
        if (row := self.held_child(name)) is not None:
            self._write(NAMES + name, msgspec.structs.replace(row, serial=serial))

    def terminate_child(self, name: str) -> None:
        """Say that a child that this node holds is not to run any more, anywhere."""
        if (row := self.held_child(name)) is not None:
            self._write(NAMES + name, terminated(row, self.children.rows(NAMES + name)))

    def hand_over_child(self, name: str) -> None:
        """Leave the row of a child as it is, which another node is about to take: it goes by what it was told."""
        self._handing_over.add(name)

    def handed_over_child(self, name: str, node: NodeId) -> None:
        """Say that a child of this node has been handed over: who has not heard of it there yet has to wait for it."""
        self._handing_over.discard(name)
        if (row := self.held_child(name)) is not None:
            self._write(NAMES + name, moved(row, node))

    def forget_child(self, name: str) -> None:
        """Delete the own row about a child that has not begun here; word of one that has gone from here stays."""
        if self.held_child(name) is not None:
            self._write(NAMES + name, None)

    def forget_gone(self, name: str) -> None:
        """Delete the own row about a child that was terminated or handed over: all know better by now."""
        row = self._own(NAMES + name)
        if row is not None and row.serial in {TERMINATED, MOVED}:
            self._write(NAMES + name, None)

    # --- inside

    def _write(self, key: str, row: NameRow | None) -> None:
        """Write an own row, and keep in mind which process it is about."""
        old = self._own(key)
        self._replication.write(key, row)
        if old is not None and old.serial > NOT_RUNNING:
            keys = self._by_serial[old.serial]
            keys.remove(key)
            if not keys:
                del self._by_serial[old.serial]
        if row is not None and row.serial > NOT_RUNNING:
            self._by_serial.setdefault(row.serial, []).append(key)
