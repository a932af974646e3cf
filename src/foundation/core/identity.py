"""Who a node and a process are."""

from __future__ import annotations

from typing import NewType

import msgspec

NodeId = NewType("NodeId", str)
"""32 hexadecimal digits, new at every start: the identity of a node that died never comes back."""


class ProcessId(msgspec.Struct, frozen=True, array_like=True):
    """Where a process lives and which one it is there; never used twice."""

    node: NodeId
    serial: int

    def __str__(self) -> str:
        """Print as ``<first digits of the node>.<serial>``."""
        return f"{self.node[:8]}.{self.serial}"
