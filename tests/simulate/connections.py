"""Who could reach whom, and since when, by the truth of the simulated network."""

from __future__ import annotations

from foundation.testing import SimulatedCluster, SimulatedNode

_MOST_EXTRA_S = 0.15
_MOST_DROPS = 0.1


class Connections:
    """Pairs of nodes between which everything gets through in good time, noted at each look."""

    def __init__(self) -> None:
        self._cluster: SimulatedCluster
        self._since: dict[tuple[str, str], float] = {}
        self.paused_at: dict[str, float] = {}
        """When each node was last seen to be paused."""

    def look(self, cluster: SimulatedCluster | None = None) -> None:
        """Note how it is now, in a cluster that needs to be named the first time."""
        if cluster is not None:
            self._cluster = cluster
        cluster = self._cluster
        now = cluster.simulation.now
        for node in cluster.nodes:
            if node.is_paused:
                self.paused_at[node.node_id] = now
        able = [node for node in cluster.nodes if node.runs and not node.is_paused]
        pairs = {(one.node_id, two.node_id) for one in able for two in able if _is_good(cluster, one, two)}
        self._since = {pair: self._since.get(pair, now) for pair in pairs}

    def direct(self, node: str, since: float) -> set[str]:
        """Return who was connected to a node itself all the time since then."""
        return {other for (one, other), began in self._since.items() if one == node and began <= since}

    def path(self, one: str, other: str, since: float) -> list[str] | None:
        """Return a way over nodes that were all connected all the time since then, if there is one."""
        ways = {one: [one]}
        edge = [one]
        while edge:
            at = edge.pop(0)
            for (source, target), began in self._since.items():
                if source == at and target not in ways and began <= since:
                    ways[target] = [*ways[at], target]
                    edge.append(target)
        return ways.get(other)


def _is_good(cluster: SimulatedCluster, one: SimulatedNode, two: SimulatedNode) -> bool:
    wire = cluster.simulation.network._wire
    ways = (wire.way(one.host.address, two.host.address), wire.way(two.host.address, one.host.address))
    return one is not two and all(
        way.passes and way.extra_s <= _MOST_EXTRA_S and way.drop_rate <= _MOST_DROPS for way in ways
    )
