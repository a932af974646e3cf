"""What nodes tell each other about their tables."""

from __future__ import annotations

from msgspec import Raw, Struct

from foundation.core.identity import NodeId


class Delta(Struct, array_like=True, tag=1, frozen=True):
    """What has changed in one table after version ``since``, up to ``upto``: key, version and value of each row.

    Rows come in the order of their versions; one that has been written again since comes with a later delta.
    """

    owner: NodeId
    since: int
    upto: int
    rows: list[tuple[str, int, Raw]]
    goal: int
    """Where the transfer ends of which this is a piece; ``upto`` when this is all."""
    floor: int = 0
    """The highest version of a tombstone that the sender has dropped: who begins at 0 does not get these."""
    resets: bool = False
    """A piece of a whole table, which is to take the place of what the receiver has of it."""


class Digest(Struct, array_like=True, tag=2, frozen=True):
    """How far somebody's copies of tables reach; those at version 0 are left out unless this is about them."""

    versions: dict[NodeId, int]
    is_complete: bool = True
    """These are all; otherwise only the ones that are mentioned are compared."""
    answer_wanted: bool = True


class Want(Struct, array_like=True, tag=3, frozen=True):
    """Send me what this table has after that version."""

    owner: NodeId
    have: int


class Note(Struct, array_like=True, tag=4, frozen=True):
    """A message of somebody who uses the tables: it arrives after all deltas that were sent before it."""

    service: str
    content: Raw


Message = Delta | Digest | Want | Note
