"""Who is present where: what this node tracks in its own rows, and all of it in an index.

*Consistency.* The view of this node, which follows the owners' tables; looking takes no round trip. What an unreachable
node tracks is hidden until it is reached again; what one that is down tracks is gone until it comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from foundation.core.events import EventStream, KeyedSources
from foundation.core.identity import NodeId, ProcessId
from foundation.errors import ArgumentError, NotTrackedError
from foundation.registry.group_table import is_number
from foundation.replication import Change, Replication
from foundation.replication.replica import encode

PRESENCE = "p"
"""The kind of these rows: their keys are this, the serial of a process or 0, the length of the topic, topic and key."""

NODE_ITSELF = 0
"""In place of a serial: what is tracked for the node."""

_decode = msgspec.msgpack.Decoder().decode


class PresenceRow(Struct, array_like=True, frozen=True):
    """One presence that the node whose table this is keeps up."""

    number: int
    """Counts the presences of the node; an update keeps it."""
    meta: Any


class PresenceMeta(NamedTuple):
    """One presence under a key: somebody's second browser tab is another one."""

    ref: str
    """Tells presences under one key apart; an update keeps it."""
    meta: Any
    node: NodeId
    process_id: ProcessId | None
    """None for what a node tracks for itself."""


@dataclass(frozen=True, slots=True)
class PresenceDiff:
    """Who came and who left at once, by key; an update is a leave and a join with the same ref."""

    topic: str
    joins: dict[str, list[PresenceMeta]] = field(default_factory=dict[str, list[PresenceMeta]])
    leaves: dict[str, list[PresenceMeta]] = field(default_factory=dict[str, list[PresenceMeta]])


class _Place(NamedTuple):
    topic: str
    key: str
    serial: int


_Tracked = dict[tuple[NodeId, int], PresenceRow]


class PresenceTable:
    """All presences, as this node sees them, and its own."""

    def __init__(self, replication: Replication) -> None:
        self._replication = replication
        self._replica = replication.replica
        self.me = self._replica.me
        self._topics: dict[str, dict[str, _Tracked]] = {}
        self._shown: set[NodeId] = {self.me}
        self._last_number = 0
        self._own: dict[int, dict[str, PresenceRow]] = {}
        """The own rows by serial and key."""
        self._sources: KeyedSources[str, PresenceDiff] = KeyedSources()
        replication.watch(PRESENCE, self._changed)

    # --- the own part

    def track(self, serial: int, topic: str, key: str, meta: Any) -> None:  # noqa: ANN401 - any plain value
        """Begin to track, or replace the meta of what is tracked."""
        row_key = _key(topic, key, serial)
        old = self._own.get(serial, {}).get(row_key)
        number = self._last_number + 1 if old is None else old.number
        row = PresenceRow(number, _copied(meta))
        self._replication.write(row_key, row)
        self._last_number = max(self._last_number, number)
        self._own.setdefault(serial, {})[row_key] = row

    def update(self, serial: int, topic: str, key: str, change: Callable[[Any], Any]) -> None:
        """Change the meta by a function of what it was; raises NotTrackedError."""
        row = self._own.get(serial, {}).get(_key(topic, key, serial))
        if row is None:
            message = f"nothing is tracked here under {key!r} in {topic!r}"
            raise NotTrackedError(message)
        self.track(serial, topic, key, change(_copied(row.meta)))

    def untrack(self, serial: int, topic: str, key: str) -> None:
        """Track no longer; nothing, when it is not tracked."""
        rows = self._own.get(serial, {})
        row_key = _key(topic, key, serial)
        if rows.pop(row_key, None) is not None:
            if not rows:
                del self._own[serial]
            self._replication.write(row_key, None)

    def release(self, serial: int) -> None:
        """Untrack everything for a process of this node: it has ended."""
        for row_key in self._own.pop(serial, ()):
            self._replication.write(row_key, None)

    # --- looking

    def entries(self, topic: str) -> dict[str, list[PresenceMeta]]:
        """Return all presences in a topic, by key."""
        keys = self._topics.get(topic, {})
        return {key: _metas(keys[key]) for key in sorted(keys)}

    def metas(self, topic: str, key: str) -> list[PresenceMeta]:
        """Return all presences under one key."""
        return _metas(self._topics.get(topic, {}).get(key, {}))

    def own_count(self) -> int:
        """Return how many presences this node tracks."""
        return sum(map(len, self._own.values()))

    def count(self, topic: str) -> int:
        """Return how many keys are present in a topic."""
        return len(self._topics.get(topic, ()))

    def topics(self) -> list[str]:
        """Return the topics in which anybody is present."""
        return sorted(self._topics)

    def watch(self, topic: str) -> EventStream[PresenceDiff]:
        """Return what happens in a topic from now on."""
        return self._sources.stream(topic)

    # --- who is in

    def show(self, owner: NodeId) -> None:
        """A node is in, and reached."""
        if owner not in self._shown:
            self._shown.add(owner)
            self._changed([Change(owner, key, None, row) for key, row in self._rows(owner)])

    def hide(self, owner: NodeId) -> None:
        """A node is not reached, or gone."""
        if owner in self._shown:
            self._changed([Change(owner, key, row, None) for key, row in self._rows(owner)])
            self._shown.discard(owner)

    def close(self) -> None:
        """End all streams."""
        self._sources.end()

    # --- inside

    def _rows(self, owner: NodeId) -> list[tuple[str, Any]]:
        table = self._replica.tables.get(owner)
        return [] if table is None else [(key, row) for key, row in table.values() if key[:1] == PRESENCE]

    def _changed(self, changes: list[Change]) -> None:
        diffs: dict[str, PresenceDiff] = {}
        for owner, key, _old, new in changes:
            if owner not in self._shown or (place := _parse(key)) is None:
                continue
            row = new if type(new) is PresenceRow else None
            old = self._replace(owner, place, row)
            if old == row or place.topic not in self._sources:
                continue
            diff = diffs.setdefault(place.topic, PresenceDiff(place.topic))
            if old is not None:
                diff.leaves.setdefault(place.key, []).append(_meta(owner, place.serial, old))
            if row is not None:
                diff.joins.setdefault(place.key, []).append(_meta(owner, place.serial, row))
        for topic, diff in diffs.items():
            self._sources.emit(topic, diff)

    def _replace(self, owner: NodeId, place: _Place, new: PresenceRow | None) -> PresenceRow | None:
        """Put a row in its place, and return what was there."""
        topic, key, serial = place
        keys = self._topics.get(topic, {})
        tracked = keys.get(key, {})
        old = tracked.pop((owner, serial), None)
        if new is not None:
            tracked[owner, serial] = new
            keys[key] = tracked
            self._topics[topic] = keys
        elif old is not None and not tracked:
            del keys[key]
            if not keys:
                del self._topics[topic]
        return old


def _metas(tracked: _Tracked) -> list[PresenceMeta]:
    ordered = sorted(tracked.items(), key=lambda item: (item[0][0], item[1].number))
    return [_meta(node, serial, row) for (node, serial), row in ordered]


def _meta(node: NodeId, serial: int, row: PresenceRow) -> PresenceMeta:
    process_id = None if serial == NODE_ITSELF else ProcessId(node, serial)
    return PresenceMeta(f"{node}.{row.number}", row.meta, node, process_id)


def _copied(meta: Any) -> Any:  # noqa: ANN401 - any plain value
    """Return a meta as the other nodes will see it."""
    try:
        return _decode(encode(meta))
    except (TypeError, ValueError, OverflowError) as error:
        message = f"a meta is a plain value: {error}"
        raise ArgumentError(message) from None


def _key(topic: str, key: str, serial: int) -> str:
    return f"{PRESENCE}{serial}/{len(topic)}/{topic}{key}"


def _parse(row_key: str) -> _Place | None:
    """Take a key of another node apart; None for one that is not what it should be."""
    parts = row_key[1:].split("/", 2)
    if len(parts) != 3 or not is_number(parts[0]) or not is_number(parts[1]):  # noqa: PLR2004 - as in _key
        return None
    length = int(parts[1])
    return _Place(parts[2][:length], parts[2][length:], int(parts[0])) if length <= len(parts[2]) else None
