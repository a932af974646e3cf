"""Which processes are in which groups: the own ones in this node's rows, all of them in an index.

*Consistency.* The view of this node, which follows the owners' tables; looking takes no round trip. A node alone says
which of its processes are members. Those of a node that is down are not, until it comes back; those of an unreachable
node are, and it is said of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from foundation.core.events import EventStream, KeyedSources
from foundation.core.identity import NodeId, ProcessId
from foundation.errors import ArgumentError
from foundation.replication import Change, Replication
from foundation.replication.replica import encode

GROUPS = "g"
"""The kind of these rows: their keys are this, the serial, the scope and the group, with slashes between them."""

_MOST_DIGITS = 20
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


class GroupRow(Struct, array_like=True, frozen=True):
    """One process of the node whose table this is, in one group."""

    wire_name: str
    metadata: dict[str, Any] | None = None


class GroupMember(NamedTuple):
    """A process in a group."""

    process_id: ProcessId
    metadata: Mapping[str, Any]
    is_reachable: bool
    """False while this node cannot reach the node of the process, and has not given it up."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Who came to a group and who left it, at once; other metadata is a leave and a join of the same process."""

    group: str
    joins: tuple[GroupMember, ...]
    leaves: tuple[GroupMember, ...]


Place = tuple[str, str]
"""A scope, and a group in it."""


@dataclass(slots=True)
class _Group:
    rows: dict[NodeId, dict[int, GroupRow]] = field(default_factory=dict[NodeId, dict[int, GroupRow]])
    count: int = 0


@dataclass(slots=True)
class _Differences:
    joins: list[GroupMember] = field(default_factory=list[GroupMember])
    leaves: list[GroupMember] = field(default_factory=list[GroupMember])


class GroupTable:
    """All groups, as this node sees them, and its own part in them."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._replica = replication.replica
        self.me = self._replica.me
        self._groups: dict[Place, _Group] = {}
        self._shown: set[NodeId] = {self.me}
        self._unreachable: set[NodeId] = set()
        self._own: dict[int, dict[str, None]] = {}
        """The keys of the own rows, by process."""
        self._sources: KeyedSources[tuple[str, str | None], GroupChange] = KeyedSources()
        replication.watch(GROUPS, self._changed)

    # --- the own part

    def join(self, place: Place, serial: int, wire_name: str, metadata: Mapping[str, Any] | None) -> None:
        """Enter a process of this node, or give it other metadata."""
        key = _key(place, serial)
        self._replication.write(key, GroupRow(wire_name, _copied(metadata)))
        self._own.setdefault(serial, {})[key] = None

    def leave(self, place: Place, serial: int) -> None:
        """Take a process of this node out; nothing, when it is not in."""
        key = _key(place, serial)
        keys = self._own.get(serial, {})
        if key in keys:
            del keys[key]
            if not keys:
                del self._own[serial]
            self._replication.write(key, None)

    def release(self, serial: int) -> None:
        """Take a process of this node out of all groups: it has ended."""
        for key in self._own.pop(serial, ()):
            self._replication.write(key, None)

    def own_counts(self) -> dict[Place, int]:
        """Return how many processes of this node are in which group."""
        return {place: len(group.rows[self.me]) for place, group in self._groups.items() if self.me in group.rows}

    # --- looking

    def members(self, place: Place) -> list[GroupMember]:
        """Return all members, ordered by node and serial."""
        group = self._groups.get(place)
        nodes = sorted(group.rows) if group is not None else ()
        return [member for node in nodes for member in self._members_on(place, node)]

    def local_members(self, place: Place) -> list[GroupMember]:
        """Return the members on this node."""
        return self._members_on(place, self.me)

    def count(self, place: Place) -> int:
        """Return how many members there are, without counting."""
        group = self._groups.get(place)
        return 0 if group is None else group.count

    def names(self, scope: str) -> list[str]:
        """Return the groups of a scope that have members, in order."""
        return sorted(group for of, group in self._groups if of == scope)

    def wire_name(self, place: Place, process_id: ProcessId) -> str:
        """Return the class of a member; empty when it is none."""
        group = self._groups.get(place)
        row = None if group is None else group.rows.get(process_id.node, {}).get(process_id.serial)
        return "" if row is None else row.wire_name

    def watch(self, scope: str, group: str | None) -> EventStream[GroupChange]:
        """Return what happens to a group, or to all groups of a scope, from now on."""
        return self._sources.stream((scope, group))

    # --- who is in

    def show(self, owner: NodeId) -> None:
        """A node is in, and reached: its processes count."""
        self._unreachable.discard(owner)
        if owner not in self._shown:
            self._shown.add(owner)
            self._changed([Change(owner, key, None, row) for key, row in self._rows(owner)])

    def suspect(self, owner: NodeId) -> None:
        """A node is not reached, and not given up."""
        self._unreachable.add(owner)

    def hide(self, owner: NodeId) -> None:
        """A node is down, or gone: its processes are no members."""
        if owner in self._shown:
            self._changed([Change(owner, key, row, None) for key, row in self._rows(owner)])
            self._shown.discard(owner)
        self._unreachable.discard(owner)

    def close(self) -> None:
        """End all streams."""
        self._sources.end()

    # --- inside

    def _rows(self, owner: NodeId) -> list[tuple[str, Any]]:
        table = self._replica.tables.get(owner)
        return [] if table is None else [(key, row) for key, row in table.values() if key[:1] == GROUPS]

    def _members_on(self, place: Place, node: NodeId) -> list[GroupMember]:
        group = self._groups.get(place)
        rows = {} if group is None else group.rows.get(node, {})
        return [self._member(node, serial, rows[serial]) for serial in sorted(rows)]

    def _member(self, node: NodeId, serial: int, row: GroupRow) -> GroupMember:
        return GroupMember(ProcessId(node, serial), row.metadata or {}, node not in self._unreachable)

    def _changed(self, changes: list[Change]) -> None:
        told: dict[Place, _Differences] = {}
        for owner, key, _old, new in changes:
            if owner in self._shown and (parsed := _parse(key)) is not None:
                self._change(owner, *parsed, new if type(new) is GroupRow else None, told if self._sources else None)
        for (scope, name), differences in told.items():
            change = GroupChange(name, tuple(differences.joins), tuple(differences.leaves))
            self._sources.emit((scope, name), change)
            self._sources.emit((scope, None), change)

    def _change(
        self, owner: NodeId, place: Place, serial: int, new: GroupRow | None, told: dict[Place, _Differences] | None
    ) -> None:
        old = self._replace(owner, place, serial, new)
        if told is None or old == new:
            return
        differences = told.setdefault(place, _Differences())
        if old is not None:
            differences.leaves.append(self._member(owner, serial, old))
        if new is not None:
            differences.joins.append(self._member(owner, serial, new))

    def _replace(self, owner: NodeId, place: Place, serial: int, new: GroupRow | None) -> GroupRow | None:
        """Put a row in its place, and return what was there."""
        group = self._groups.get(place) or _Group()
        rows = group.rows.get(owner, {})
        old = rows.pop(serial, None)
        group.count += (new is not None) - (old is not None)
        if new is not None:
            rows[serial] = new
            group.rows[owner] = rows
            self._groups[place] = group
        elif old is not None and not rows:
            del group.rows[owner]
            if not group.rows:
                del self._groups[place]
        return old


def _copied(metadata: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return metadata as the other nodes will see it."""
    if not metadata:
        return None
    try:
        return _decode(encode(dict(metadata)))
    except (TypeError, ValueError, OverflowError) as error:
        message = f"metadata holds plain values with strings as keys: {error}"
        raise ArgumentError(message) from None


def _key(place: Place, serial: int) -> str:
    return f"{GROUPS}{serial}/{place[0]}/{place[1]}"


def _parse(key: str) -> tuple[Place, int] | None:
    """Take a key of another node apart; None for one that is not what it should be."""
    parts = key[1:].split("/", 2)
    if len(parts) != 3 or not is_number(parts[0]):  # noqa: PLR2004 - as in _key
        return None
    return (parts[1], parts[2]), int(parts[0])


def is_number(text: str) -> bool:
    """Tell whether a part of a key is a number that a node of good will could have written."""
    return text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS
