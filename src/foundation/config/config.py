"""The options of every layer, composed into one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foundation.config.node_options import NodeOptions
from foundation.core.secret import Secret
from foundation.discovery import DiscoveryStrategy
from foundation.errors import ConfigurationError

DEFAULT_STRATEGIES = ("local", "mdns")
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True)
class Config(NodeOptions):
    """Everything that can be said about one node."""

    name: str
    """The readable name of this node."""

    cookie: Secret
    """The secret that every node of the cluster shares; an empty one lets anybody on this machine in."""

    cookie_file: str | None = None
    """Where the cookie was read from: when the file changes, the node goes by what it holds then."""

    strategies: tuple[str | DiscoveryStrategy, ...] = DEFAULT_STRATEGIES
    """How nodes find each other; all of them at once."""

    fallback: tuple[str | DiscoveryStrategy, ...] = ()
    """Strategies that are asked too while those have found nobody."""

    strategy_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Arguments of the strategies that are given by name."""

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
        """The names of the strategies, for people; those of the fallback last."""
        every = (*self.strategies, *self.fallback)
        named = tuple(s if isinstance(s, str) else type(s).__name__ for s in every)
        return (*named, "static") if self.peers and "static" not in named else named
