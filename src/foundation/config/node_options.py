"""What can be said about one node in a file and in Python alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foundation.discovery import DiscoveryOptions
from foundation.distribution import DistributionOptions
from foundation.fabric import FabricOptions
from foundation.membership import MembershipOptions
from foundation.processes import ProcessOptions
from foundation.registry import RegistryOptions
from foundation.replication import ReplicationOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """The options of every layer, and what belongs to none of them."""

    cluster_name: str = "main"
    """Nodes with another cluster name do not exist for this one."""

    peers: tuple[str, ...] = ()
    """Addresses ``host:port`` to try besides what the strategies find."""

    roles: tuple[str, ...] = ()
    """What this node is for; processes can be placed by role."""

    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Anything the others should know about this node."""

    observer: bool = False
    """Look on without being a member: run nothing, count for nothing, take any free ports."""

    min_members: int = 1
    """A start waits until so many members are up, this node among them, so that no few of them begin on their own."""

    majority_of_found: bool = False
    """A start waits, besides, until discovery has answered and more than half of the nodes it knows of are up, this one
    among them, so that a node that cannot reach the others does not begin on its own. For strategies that list nodes
    as they are, such as ``kubernetes``, which turns it on."""

    probe_port: int | None = None
    """TCP port at which the node says over HTTP whether it is alive and ready; None for none, 0 for any free one."""

    probe_host: str = ""
    """Address for that port; empty takes the one on which the node listens for others."""

    join_timeout_s: float = 3.0
    """Seconds that a start may wait to meet the nodes that were found. More starts later, less starts more alone."""

    handle_signals: bool = True
    """Leave in order on SIGTERM, where nothing else handles it."""

    fabric: FabricOptions = field(default_factory=FabricOptions)
    """How this node listens and talks to others."""

    membership: MembershipOptions = field(default_factory=MembershipOptions)
    """When a member is given up."""

    discovery: DiscoveryOptions = field(default_factory=DiscoveryOptions)
    """How often the strategies look."""

    processes: ProcessOptions = field(default_factory=ProcessOptions)
    """Limits of processes and of calls."""

    replication: ReplicationOptions = field(default_factory=ReplicationOptions)
    """How what all nodes know is kept alike."""

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    """How names are granted."""

    distribution: DistributionOptions = field(default_factory=DistributionOptions)
    """How children that survive their node are placed and moved."""
