"""Test kits for programs made with Foundation: simulated clusters, and real nodes that are killed and cut off."""

from foundation.testing.cluster import Side, Sighting, TestCluster, TestNode
from foundation.testing.errors import UnsupportedFault, WaitFailed
from foundation.testing.real import HostCluster, ProcessCluster, ProcessNode
from foundation.testing.simulation import NetworkOptions, SimulatedCluster, SimulatedNode, Simulation, simulate

__all__ = [
    "HostCluster",
    "NetworkOptions",
    "ProcessCluster",
    "ProcessNode",
    "Side",
    "Sighting",
    "SimulatedCluster",
    "SimulatedNode",
    "Simulation",
    "TestCluster",
    "TestNode",
    "UnsupportedFault",
    "WaitFailed",
    "simulate",
]
