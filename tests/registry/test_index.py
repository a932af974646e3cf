"""Names as one node sees them, from the rows of all owners."""

from __future__ import annotations

from foundation.core.identity import NodeId
from foundation.registry.events import NameReason
from foundation.registry.index import NameIndex
from foundation.registry.rows import NAMES, NameRow
from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Change, Replica

ME, OTHER = NodeId("A"), NodeId("B")
KEY = NAMES + "bank"


def replica(me: NodeId) -> Replica:
    return Replica(me, {NAMES: NameRow}, ReplicationOptions())


def followed(index_of: Replica, owner: Replica) -> list[Change]:
    return [change for delta in owner.news() for change in index_of.apply(delta, 0)]


def test_rows_that_were_written_twice_since_are_taken_in_one_batch() -> None:
    """A name that was given, changed and given back before anybody looked is none; the tables know only the end."""
    mine, other = replica(ME), replica(OTHER)
    index = NameIndex(mine, {})
    index.is_watched = True
    index.show(OTHER)
    changes: list[Change] = []
    for value in (NameRow(1, 1, 0), NameRow(1, 2, 0), None, NameRow(2, 3, 0), None):
        other.write(KEY, value, 0)
        changes += followed(mine, other)
    assert index.apply(changes) == []
    assert index.find(KEY) is None
    other.write(KEY, NameRow(3, 4, 0), 0)
    changes = followed(mine, other)
    other.write(KEY, NameRow(3, 5, 0, "", {"size": 1}), 0)
    changes += followed(mine, other)
    (event,) = index.apply(changes)
    assert (event.reason, event.metadata) == (NameReason.REGISTERED, {"size": 1})
