"""What tests have nodes do, and what they look at."""

from __future__ import annotations

from typing import Any

from foundation import Cluster
from foundation.config.changes import value_of
from foundation.errors import ReconfigurationRefused
from foundation.reconfiguration import ReconfigurationReport, Setting
from foundation.testing import SimulatedCluster

DOWN = "membership.down_after_s"


async def change(cluster: Cluster, values: dict[str, Any]) -> ReconfigurationReport:
    return await cluster.reconfigure(values)


async def attempt(cluster: Cluster, values: dict[str, Any]) -> ReconfigurationReport | ReconfigurationRefused:
    try:
        return await cluster.reconfigure(values)
    except ReconfigurationRefused as error:
        return error


async def settings(cluster: Cluster) -> list[Setting]:
    return await cluster.settings()


def values(cluster: SimulatedCluster, key: str = DOWN) -> dict[str, Any]:
    """Return what each node that runs goes by."""
    return {
        node.name: value_of(node.cluster.config, key)
        for node in cluster.nodes
        if node.runs and not node.host.loop.is_killed
    }


def only_value(cluster: SimulatedCluster, key: str = DOWN) -> Any:
    """Return what all nodes go by."""
    found = values(cluster, key)
    assert len(set(found.values())) == 1, found
    return next(iter(found.values()))
