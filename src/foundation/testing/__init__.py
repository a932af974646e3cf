"""Test kits for programs made with Foundation: simulated clusters, and real nodes that are killed and cut off."""

from foundation.testing.cluster import Side, TestCluster, TestNode
from foundation.testing.errors import UnsupportedFault, WaitFailed
from foundation.testing.real import HostCluster, ProcessCluster, ProcessNode, Sighting

__all__ = [
    "HostCluster",
    "ProcessCluster",
    "ProcessNode",
    "Side",
    "Sighting",
    "TestCluster",
    "TestNode",
    "UnsupportedFault",
    "WaitFailed",
]
