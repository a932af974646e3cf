"""Clusters of real nodes, each in an OS process of its own."""

from foundation.testing.real.host_cluster import HostCluster
from foundation.testing.real.process_cluster import ProcessCluster
from foundation.testing.real.process_node import ProcessNode

__all__ = ["HostCluster", "ProcessCluster", "ProcessNode"]
