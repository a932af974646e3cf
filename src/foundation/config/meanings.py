"""Check what types do not say: addresses, the name of the cluster, strategies and their options."""

from __future__ import annotations

from typing import Any

from foundation.config.given import Given, Layer, Problems
from foundation.config.strategy_checks import StrategyChecks
from foundation.discovery.peers import parse_address
from foundation.errors import ConfigurationError
from foundation.fabric.keys import namespace


def check_meanings(layer: Layer, problems: Problems, *, every_strategy: bool) -> None:
    """Tell ``problems`` what cannot be used although its type is right."""
    for address in _value(layer, "peers") or ():
        try:
            parse_address(address)
        except ConfigurationError as error:
            problems.add(f"{layer['peers',].label}: {error}")
    name = _value(layer, "cluster_name")
    if name is not None:
        try:
            namespace(name)
        except ConfigurationError as error:
            problems.add(f"{layer['cluster_name',].label}: {error}")
    StrategyChecks(layer, problems).names(every=every_strategy)


def _value(layer: Layer, key: str) -> Any:  # noqa: ANN401
    given: Given | None = layer.get((key,))
    return None if given is None else given.value
