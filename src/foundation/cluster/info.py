"""A picture of the cluster for people and programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        return asdict(self) | {"members": [asdict(m) | {"wire_names": sorted(m.wire_names)} for m in self.members]}

    def __str__(self) -> str:
        """Print in one line."""
        return (
            f"{self.nodes} {'node' if self.nodes == 1 else 'nodes'} ({', '.join(m.name for m in self.members)}),"
            f" found by {self.strategy}, {self.health}, {self.processes} processes, {self.message_rate:.0f} messages/s"
        )


def health(members: list[Member]) -> str:
    """Sum up the condition of a cluster in a word."""
    if any(member.status is MemberStatus.UNREACHABLE for member in members):
        return "degraded"
    return "healthy" if len(members) > 1 else "alone"
