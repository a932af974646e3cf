"""The whole, put together: one object that stands for this node's part in its cluster."""

from foundation.cluster.choosing import ANY
from foundation.cluster.cluster import Cluster, current_cluster
from foundation.cluster.info import ClusterInfo
from foundation.cluster.starting import start_cluster

__all__ = ["ANY", "Cluster", "ClusterInfo", "current_cluster", "start_cluster"]
