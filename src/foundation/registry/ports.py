"""What the claims need of the rest of a node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from foundation.core.identity import NodeId
from foundation.registry.messages import Won
from foundation.registry.rows import NameRow

Owned = list[tuple[NodeId, NameRow]]
"""Who has a name, and the rows that say so."""


class Rows(Protocol):
    """The rows of names that this node holds, and what it does with its own."""

    def version(self, owner: NodeId) -> int:
        """Return how far the copy of a table reaches."""
        ...

    def versions(self) -> Mapping[NodeId, int]:
        """Return how far all copies reach."""
        ...

    def ignores(self, owner: NodeId) -> bool:
        """Tell whether the table of a node is taken no more, because it has gone."""
        ...

    def owned(self, key: str) -> Owned:
        """Return who has a name, of those who are in; more than one when there is a conflict."""
        ...

    def top_epoch(self, key: str) -> int:
        """Return the highest epoch of a name in any table, also of nodes that are down."""
        ...

    def orphan_life(self, key: str) -> int:
        """Return the life of a child that is to run, and whose node is gone; 0 when there is none of that name."""
        ...


class Grantee(Protocol):
    """What becomes of the claims of this node. All of it happens within the call."""

    def granted(self, number: int, key: str, epoch: int) -> bool:
        """Write the row; False when nobody waits for the name any more."""
        ...

    def taken(self, number: int, owner: NodeId, serial: int) -> None:
        """Tell who waits that the name is taken."""
        ...

    def retry(self, number: int) -> None:
        """Call :meth:`Claims.again` in a while."""
        ...

    def won(self, verdict: Won) -> None:
        """Write the own row of a name again, in the epoch that is said, if it is still that process's."""
        ...

    def lost(self, key: str, owner: NodeId, serial: int, epoch: int) -> None:
        """Give a name back that another process keeps, unless the own row has that epoch or a higher one."""
        ...
