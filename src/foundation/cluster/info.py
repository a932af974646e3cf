"""A picture of the cluster for people and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from foundation.cluster.load import LoadTeller
from foundation.config import Config
from foundation.core.identity import NodeId
from foundation.distribution import ownership
from foundation.membership import Member, MemberStatus


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """What one node knows about its cluster at one moment, without asking anybody."""

    cluster: str
    """The name of the cluster."""

    node: str
    """The name of the node that was asked."""

    nodes: int
    """Members that are up."""

    strategy: str
    """How nodes find each other."""

    health: str
    """``healthy``, ``alone`` (nobody else is up) or ``degraded`` (somebody is unreachable)."""

    processes: int
    """Processes on all members, as each last told."""

    message_rate: float
    """Frames per second that this node sends and receives, over the last seconds."""

    members: tuple[Member, ...]
    """Everybody who is in, this node first."""

    paths: Mapping[NodeId, str]
    """How this node reaches each member now: ``direct`` (a TCP connection of its own), ``routed`` (Zenoh),
    ``connecting`` (neither is ready yet, or neither is left), ``-`` (itself)."""

    distribution: str = ""
    """How distributed children are owned among so many nodes, and why: ``local``, ``replicated`` or ``partitioned``."""

    @classmethod
    def of(
        cls, config: Config, members: Sequence[Member], load: LoadTeller | None, paths: Mapping[NodeId, str]
    ) -> ClusterInfo:
        """Put together what a node knows."""
        up = sum(member.status is MemberStatus.UP for member in members)
        return cls(
            cluster=config.cluster_name,
            node=config.name,
            nodes=up,
            strategy="+".join(config.strategy_names),
            health=health(members),
            processes=load.processes() if load else 0,
            message_rate=load.message_rate if load else 0.0,
            members=tuple(members),
            paths=paths,
            distribution=ownership(up),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON; the path stands with its member."""
        plain = asdict(self)
        del plain["paths"]
        return plain | {
            "members": [
                asdict(m) | {"wire_names": sorted(m.wire_names), "path": self.paths[m.node_id]} for m in self.members
            ]
        }

    def __str__(self) -> str:
        """Print in one line."""
        return (
            f"{self.nodes} {'node' if self.nodes == 1 else 'nodes'} ({', '.join(m.name for m in self.members)}),"
            f" found by {self.strategy}, {self.health}, {self.processes} processes, {self.message_rate:.0f} messages/s"
        )


def paths(members: Sequence[Member], me: NodeId, ways: Mapping[NodeId, str]) -> dict[NodeId, str]:
    """Put what the fabric says of its ways in words that hold for every member."""
    found = {member.node_id: ways.get(member.node_id, "none") for member in members}
    return {node: "-" if node == me else "connecting" if way == "none" else way for node, way in found.items()}


def health(members: Sequence[Member]) -> str:
    """Sum up the condition of a cluster in a word."""
    if any(member.status is MemberStatus.UNREACHABLE for member in members):
        return "degraded"
    return "healthy" if len(members) > 1 else "alone"
