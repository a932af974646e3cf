"""The tables of all nodes as one node has them: it writes its own, and follows the others'. Pure.

*Consistency.* Each table converges to its owner's. Deltas may be lost, doubled or reordered: one that comes before what
precedes it waits, what is missing is wanted. Nothing that was deleted comes back, however long a copy was cut off. A
table that is forgotten stays so until ``retention`` is over, whoever still sends it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from foundation.core.identity import NodeId
from foundation.replication.messages import Delta, Digest, Want
from foundation.replication.options import ReplicationOptions
from foundation.replication.table import Row, Table

_DELETED = b"\xc0"
_ROWS_PER_PIECE = 256
_ROW_OVERHEAD = 8

encode = msgspec.msgpack.Encoder().encode


class Change(NamedTuple):
    """What happened to one row; None where there is none, before or after."""

    owner: NodeId
    key: str
    old: Any
    new: Any


class Replica:
    """The own table and copies of all others. Keys begin with one character that says what kind of row it is."""

    def __init__(self, me: NodeId, kinds: Mapping[str, type], options: ReplicationOptions) -> None:
        """``kinds`` has the type of the values of each kind; those of other kinds are kept as they are."""
        self.me = me
        self.own = Table()
        self.tables: dict[NodeId, Table] = {me: self.own}
        self._options = options
        self._decoders: dict[str, Any] = {kind: msgspec.msgpack.Decoder(of) for kind, of in kinds.items()}
        self._told = 0
        self._ahead: dict[NodeId, list[Delta]] = {}
        self._anew: dict[NodeId, Table] = {}
        """Tables that take the place of older copies once they are whole."""
        self._forgotten: dict[NodeId, float] = {}
        self.unreadable = 0
        """Rows whose values were not what their kind says."""

    # --- the own table

    def write(self, key: str, value: Any, now: float) -> Change:  # noqa: ANN401 - of the kind's type
        """Write or, with None, delete an own row."""
        old = self.own.write(key, value, now)
        return Change(self.me, key, None if old is None else old.value, value)

    def news(self) -> Iterator[Delta]:
        """Give what was written since this was asked before, in pieces."""
        since, self._told = self._told, self.own.version
        if self.own.version > since:
            yield from self.pieces(self.me, since)

    # --- copies

    def version(self, owner: NodeId) -> int:
        """Return how far the copy of a table reaches."""
        table = self.tables.get(owner)
        return 0 if table is None else table.version

    def value(self, owner: NodeId, key: str) -> Any:  # noqa: ANN401 - of the kind's type
        """Return a row as the copy of its table has it; None when it has none."""
        table = self.tables.get(owner)
        row = None if table is None else table.rows.get(key)
        return None if row is None else row.value

    def apply(self, delta: Delta, now: float) -> list[Change]:
        """Take what has changed in a table; :meth:`is_behind` says whether something before it is missing."""
        if delta.owner == self.me or delta.owner in self._forgotten:
            return []
        table = self.tables.setdefault(delta.owner, Table())
        if delta.resets:
            return self._begin_anew(delta, now)
        if delta.since > table.version:
            ahead = self._ahead.setdefault(delta.owner, [])
            if len(ahead) < self._options.most_ahead:
                ahead.append(delta)
            return []
        changes = self._follow(table, delta, now)
        return changes + self._catch_up(delta.owner, table, now)

    def is_behind(self, owner: NodeId) -> bool:
        """Tell whether deltas have come whose predecessors are missing."""
        return owner in self._ahead

    @property
    def has_rows(self) -> bool:
        """Whether there is anything in any table, or was."""
        return any(table.version for table in self.tables.values())

    def ignores(self, owner: NodeId) -> bool:
        """Tell whether the table of a node was forgotten, and is taken no more."""
        return owner in self._forgotten

    def digest(self, *, answer_wanted: bool) -> Digest:
        """Say how far all copies reach."""
        versions = {owner: table.version for owner, table in self.tables.items() if table.version}
        return Digest(versions, answer_wanted=answer_wanted)

    def compare(self, digest: Digest) -> tuple[list[Want], list[Want]]:
        """Return what to want from who sent a digest, and what that node would want from here."""
        wanted = [
            Want(owner, self.version(owner))
            for owner, version in digest.versions.items()
            if version > self.version(owner) and owner != self.me and owner not in self._forgotten
        ]
        mentioned = self.tables if digest.is_complete else digest.versions
        offered = [
            Want(owner, there) for owner in mentioned if self.version(owner) > (there := digest.versions.get(owner, 0))
        ]
        return wanted, offered

    def pieces(self, owner: NodeId, have: int) -> Iterator[Delta]:
        """Give what a copy at version ``have`` lacks, as it is now, piece by piece, oldest first."""
        table = self.tables.get(owner)
        if table is None or table.version <= have:
            return
        resets = have < table.floor  # tombstones are missing: also for who got some rows by another way meanwhile
        since, goal = 0 if resets else have, table.version
        rows = list(table.after(since))
        rows.reverse()
        at = 0
        while at < len(rows) or since < goal:
            piece: list[tuple[str, int, Raw]] = []
            size = 0
            for key, row in itertools.islice(rows, at, at + _ROWS_PER_PIECE):
                value = encode(row.value)
                piece.append((key, row.version, Raw(value)))
                size += len(key) + len(value) + _ROW_OVERHEAD
                if size >= self._options.piece_bytes:
                    break
            at += len(piece)
            upto = piece[-1][1] if at < len(rows) else goal
            yield Delta(owner, since, upto, piece, goal, table.floor, resets)
            since = upto

    # --- who is gone

    def forget(self, owner: NodeId, now: float) -> list[Change]:
        """Drop a table for good, and take nothing of it any more."""
        self._ahead.pop(owner, None)
        self._anew.pop(owner, None)
        table = self.tables.pop(owner, None)
        self._forgotten[owner] = now
        return [] if table is None else [Change(owner, key, value, None) for key, value in table.values()]

    def collect(self, now: float) -> None:
        """Drop what has been kept for long enough: tombstones, and the memory of who is gone."""
        before = now - self._options.retention_s
        for table in self.tables.values():
            if table.tombstones:
                table.collect(before)
        for owner, at in list(self._forgotten.items()):
            if at >= before:
                break
            del self._forgotten[owner]

    # --- inside

    def _follow(self, table: Table, delta: Delta, now: float) -> list[Change]:
        changes: list[Change] = []
        if delta.upto <= table.version:
            return changes
        owner, have = delta.owner, table.version
        for key, version, raw in delta.rows:
            if version > have:
                value = self._value(key, raw)
                old = table.put(key, Row(version, value), now)
                old_value = None if old is None else old.value
                if value is not None or old_value is not None:
                    changes.append(Change(owner, key, old_value, value))
        table.version = delta.upto
        return changes

    def _value(self, key: str, raw: Raw) -> Any:  # noqa: ANN401 - of the kind's type
        if bytes(raw) == _DELETED:
            return None
        decoder = self._decoders.get(key[:1])
        if decoder is not None:
            try:
                return decoder.decode(raw)
            except msgspec.DecodeError:
                self.unreadable += 1
        return Raw(bytes(raw))

    def _catch_up(self, owner: NodeId, table: Table, now: float) -> list[Change]:
        """Take what came too early."""
        changes: list[Change] = []
        while (ahead := self._ahead.get(owner)) is not None:
            fitting = [delta for delta in ahead if delta.since <= table.version]
            left = [delta for delta in ahead if delta.since > table.version]
            if left:
                self._ahead[owner] = left
            else:
                del self._ahead[owner]
            if not fitting:
                break
            for delta in sorted(fitting, key=lambda delta: delta.since):
                changes += self._follow(table, delta, now)
        return changes

    def _begin_anew(self, delta: Delta, now: float) -> list[Change]:
        if delta.goal <= self.version(delta.owner):
            return []
        if delta.since == 0:
            self._anew[delta.owner] = Table()
        anew = self._anew.get(delta.owner)
        if anew is None or delta.since > anew.version:
            return []
        self._follow(anew, delta, now)
        if anew.version < delta.goal:
            return []
        del self._anew[delta.owner]
        old, self.tables[delta.owner] = self.tables[delta.owner], anew
        anew.floor = max(old.floor, delta.floor)
        changes = list(_differences(delta.owner, old, anew))
        return changes + self._catch_up(delta.owner, anew, now)


def _differences(owner: NodeId, old: Table, new: Table) -> Iterable[Change]:
    for key, value in old.values():
        if key not in new.rows:
            yield Change(owner, key, value, None)
    for key, row in new.rows.items():
        before = old.rows.get(key)
        value = None if before is None else before.value
        if (row.value is not None or value is not None) and (before is None or before.version != row.version):
            yield Change(owner, key, value, row.value)
