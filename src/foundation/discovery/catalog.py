"""From a name and keyword arguments to a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from foundation.core.catalog import Catalog
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError

STRATEGIES = Catalog("discovery strategy", "foundation.discovery.strategies", "Strategy")


def make_strategy(name: str, arguments: Mapping[str, Any] | None = None) -> DiscoveryStrategy:
    """Make the strategy of that name; an argument unknown or of a wrong type is a ConfigurationError.

    A class with an attribute ``Options`` (a frozen dataclass) gets one of these, others the arguments.
    """
    strategy = STRATEGIES.find(name)
    options = getattr(strategy, "Options", None)
    try:
        if options is None:
            made = strategy(**(arguments or {}))
        else:
            made = strategy(make_options(name, options, arguments or {}))
    except TypeError as error:
        message = f"the discovery strategy {name!r} cannot be made: {error}"
        raise ConfigurationError(message) from error
    if not isinstance(made, DiscoveryStrategy):
        message = f"the discovery strategy {name!r} is not a DiscoveryStrategy but {type(made).__name__}"
        raise ConfigurationError(message)
    return made


def make_options(name: str, options: Any, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Make the options dataclass of a strategy, with everything converted and checked."""
    known = [field.name for field in fields(options)] if is_dataclass(options) else []
    for argument in arguments:
        if argument not in known:
            there_are = ", ".join(known) or "none"
            message = f"the discovery strategy {name!r} has no option {argument!r}; there are: {there_are}"
            raise ConfigurationError(message)
    try:
        return msgspec.convert(dict(arguments), options, strict=False)
    except msgspec.ValidationError as error:
        message = f"an option of the discovery strategy {name!r} cannot be used: {error}"
        raise ConfigurationError(message) from error
