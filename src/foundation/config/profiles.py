"""Sets of defaults for where a node runs, each derived from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.config.given import Given, Layer, Source
from foundation.config.keys import Key, dotted

_DEVELOPMENT: Mapping[Key, Any] = {}

_PRODUCTION: Mapping[Key, Any] = {
    **_DEVELOPMENT,
    ("join_timeout_s",): 10.0,  # rather late than alone
    ("distribution", "rebalance"): True,  # a node that joins takes its share
}

_ENTERPRISE: Mapping[Key, Any] = {
    **_PRODUCTION,
    ("discovery", "poll_interval_s"): 5.0,  # many nodes ask the same service
    ("membership", "retention_s"): 3600.0,  # long maintenance of a site
    ("replication", "retention_s"): 3600.0,
}

PROFILES: Mapping[str, Mapping[Key, Any]] = {
    "development": _DEVELOPMENT,
    "production": _PRODUCTION,
    "enterprise": _ENTERPRISE,
}

_KUBERNETES: Mapping[Key, Any] = {
    **_PRODUCTION,
    ("fabric", "host"): "0.0.0.0",  # noqa: S104 - pods have networks of their own, and a cookie is asked for
    ("fabric", "port"): 4711,
    ("fabric", "session_port"): 4712,
    ("probe_port",): 8080,
    ("majority_of_found",): True,
}

_STRATEGIES: Mapping[str, Mapping[Key, Any]] = dict.fromkeys(
    ("kubernetes", "kubernetes_dns", "kubernetes_dns_srv"), _KUBERNETES
)
"""What a strategy says of the place where the node runs."""


def profile_layer(name: str) -> Layer:
    """Return what a profile gives, once ``auto`` is resolved."""
    return _layer(PROFILES[name], "profile", name)


def strategy_layer(strategies: object) -> Layer:
    """Return what follows from the strategies of a cluster, below any profile."""
    given = strategies if isinstance(strategies, tuple) else ()
    return next((_layer(_STRATEGIES[name], "strategy", name) for name in given if name in _STRATEGIES), {})


def _layer(values: Mapping[Key, Any], source: Source, name: str) -> Layer:
    return {
        key: Given(value, source, f"{source} {name}", f"the {source} {name}: {dotted(key)}")
        for key, value in values.items()
    }
