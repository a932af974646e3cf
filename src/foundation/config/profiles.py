"""Sets of defaults for where a node runs, each derived from the one before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.config.given import Given, Layer
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


def detect_profile(environ: Mapping[str, str]) -> str:
    """Return the profile that ``auto`` stands for: in a container it is production."""
    is_contained = environ.get("KUBERNETES_SERVICE_HOST") or environ.get("container")
    return "production" if is_contained else "development"


def profile_layer(name: str) -> Layer:
    """Return what a profile gives, once ``auto`` is resolved."""
    return {
        key: Given(value, "profile", f"profile {name}", f"the profile {name}: {dotted(key)}")
        for key, value in PROFILES[name].items()
    }
