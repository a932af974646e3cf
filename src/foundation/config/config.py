"""The options of every layer, composed into one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from foundation.core.secret import Secret
from foundation.discovery import DiscoveryOptions, DiscoveryStrategy
from foundation.distribution import DistributionOptions
from foundation.errors import ConfigurationError
from foundation.fabric import FabricOptions
from foundation.membership import MembershipOptions
from foundation.processes import ProcessOptions
from foundation.registry import RegistryOptions
from foundation.replication import ReplicationOptions

DEFAULT_STRATEGIES = ("local", "mdns")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be said about one node."""

    name: str
    """The readable name of this node."""

    cookie: Secret
    """The secret that every node of the cluster shares; an empty one lets anybody on this machine in."""

    cookie_file: str | None = None
    """Where the cookie was read from: when the file changes, the node goes by what it holds then."""

    cluster_name: str = "main"
    """Nodes with another cluster name do not exist for this one."""

    strategies: tuple[str | DiscoveryStrategy, ...] = DEFAULT_STRATEGIES
    """How nodes find each other; all of them at once."""

    peers: tuple[str, ...] = ()
    """Addresses ``host:port`` to try besides what the strategies find."""

    roles: tuple[str, ...] = ()
    """What this node is for; processes can be placed by role."""

    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Anything the others should know about this node."""

    observer: bool = False
    """Look on without being a member: run nothing, count for nothing."""

    min_members: int = 1
    """A start waits until so many members are up, this node among them, so that no few of them begin on their own."""

    probe_port: int | None = None
    """TCP port at which the node says over HTTP whether it is alive and ready; None for none, 0 for any free one."""

    probe_host: str = ""
    """Address for that port; empty takes the one on which the node listens for others."""

    join_timeout_s: float = 3.0
    """Seconds that a start may wait to meet the nodes that were found. More starts later, less starts more alone."""

    handle_signals: bool = True
    """Leave in order on SIGTERM, where nothing else handles it."""

    fabric: FabricOptions = field(default_factory=FabricOptions)
    membership: MembershipOptions = field(default_factory=MembershipOptions)
    discovery: DiscoveryOptions = field(default_factory=DiscoveryOptions)
    processes: ProcessOptions = field(default_factory=ProcessOptions)
    replication: ReplicationOptions = field(default_factory=ReplicationOptions)
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    distribution: DistributionOptions = field(default_factory=DistributionOptions)

    def __post_init__(self) -> None:
        """Refuse what would be unsafe."""
        is_guarded = self.cookie or (self.fabric.tls is not None and self.fabric.tls.mutual)
        if not is_guarded and self.fabric.host not in LOOPBACK:
            message = (
                f"refusing to listen on {self.fabric.host} without a cookie: everybody who reaches this machine could"
                " run code here; set FOUNDATION_COOKIE alike on all nodes, or use mutual TLS"
            )
            raise ConfigurationError(message)
        if not 0 < len(self.name) <= 128 or not self.name.isprintable():  # noqa: PLR2004
            message = f"the node name {self.name[:140]!r} cannot be used: take 1 to 128 printable characters"
            raise ConfigurationError(message)

    @property
    def strategy_names(self) -> tuple[str, ...]:
        """The names of the strategies, for people."""
        named = tuple(s if isinstance(s, str) else type(s).__name__ for s in self.strategies)
        return (*named, "static") if self.peers and "static" not in named else named
