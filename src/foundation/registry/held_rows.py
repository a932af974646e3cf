"""The rows of names as the claims see them."""

from __future__ import annotations

from collections.abc import Mapping

from foundation.core.identity import NodeId
from foundation.registry.child_index import ChildIndex
from foundation.registry.index import NameIndex
from foundation.replication.replica import Replica


class HeldRows:
    """See :class:`foundation.registry.ports.Rows`."""

    def __init__(self, replica: Replica, index: NameIndex, children: ChildIndex) -> None:
        self.version = replica.version
        self.ignores = replica.ignores
        self.owned = index.owned
        self.top_epoch = index.top_epoch
        self.orphan_life = children.orphan_life
        self._replica = replica

    def versions(self) -> Mapping[NodeId, int]:
        """See the port."""
        return self._replica.digest(answer_wanted=False).versions
