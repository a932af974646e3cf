"""The shape of what a file, the environment and secrets can say: what the sources are checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from foundation.config.config import DEFAULT_STRATEGIES
from foundation.config.node_options import NodeOptions

ProfileName = Literal["development", "production", "enterprise", "auto"]
DEFAULT_PROFILE: ProfileName = "development"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings(NodeOptions):
    """What can be said about a node and one cluster."""

    # Read by pydantic, also for the records inside.
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "use_attribute_docstrings": True}

    name: str | None = None
    """The readable name of this node; host and process id by default."""

    cookie: str | None = field(default=None, repr=False)
    """The secret that every node of the cluster shares; by default one that all nodes of this user share."""

    cookie_file: str | None = None
    """A file that holds the cookie; when it changes, the node goes by what it holds then."""

    cluster: tuple[str, ...] = DEFAULT_STRATEGIES
    """How nodes find each other: the name of a strategy, ``package.module:Class`` of your own, several of these, or
    ``auto`` for those that fit the environment."""

    fallback: tuple[str, ...] = ()
    """Strategies that are asked too while those of ``cluster`` have found nobody."""

    strategies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """A table of options for each strategy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ClusterSettings):
    """Everything that a file can say."""

    profile: ProfileName = DEFAULT_PROFILE
    """Which set of defaults to begin with; ``auto`` looks where the program runs."""

    clusters: Mapping[str, ClusterSettings] = field(default_factory=dict[str, ClusterSettings])
    """A table for each of several clusters: what is said there counts for that cluster only."""
