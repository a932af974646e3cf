"""Every value of the configuration, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from foundation.config.given import Given, Layer, Source
from foundation.config.keys import HIDDEN, Key, dotted, is_secret, without_credentials
from foundation.config.settings import Settings
from foundation.discovery import DiscoveryStrategy
from foundation.discovery.catalog import STRATEGIES
from foundation.errors import ConfigurationError

_TABLES = ("strategies", "clusters", "metadata")


@dataclass(frozen=True, slots=True)
class Explained:
    """One value."""

    key: str
    value: Any
    """As in a file: texts, numbers, lists; ``***`` for a secret that is set."""

    source: Source
    place: str


def explain(settings: Settings, merged: Layer) -> list[Explained]:
    """Return each value: those of records in their order, and what was given in open tables."""
    rows = [row for key, value in _values(settings, ()) for row in [_row(key, value, _origin(merged, key))]]
    tables = {key: given for key, given in merged.items() if key[0] in _TABLES}
    return rows + [_row(key, given.value, given) for key, given in sorted(tables.items())]


def _values(record: Any, prefix: Key) -> list[tuple[Key, Any]]:  # noqa: ANN401
    found: list[tuple[Key, Any]] = []
    for field in fields(record):
        key, value = (*prefix, field.name), getattr(record, field.name)
        if is_dataclass(value):
            found += _values(value, key)
        elif prefix or field.name not in _TABLES:
            found.append((key, value))
    return found


def _origin(merged: Layer, key: Key) -> Given | None:
    return next((merged[key[:length]] for length in range(len(key), 0, -1) if key[:length] in merged), None)


def _row(key: Key, value: Any, given: Given | None) -> Explained:  # noqa: ANN401
    source: Source = "default" if given is None else given.source
    hidden = value is not None and (is_secret(key, _options(key)) or (given is not None and not given.is_shown))
    return Explained(
        dotted(key), HIDDEN if hidden else _plain(value), source, "default" if given is None else given.place
    )


def _options(key: Key) -> type | None:
    """Return the options of the strategy that a key belongs to: they know which of them are secret."""
    if "strategies" not in key[:-2]:
        return None
    try:
        record = getattr(STRATEGIES.find(key[key.index("strategies") + 1]), "Options", None)
    except ConfigurationError:
        return None
    return record if isinstance(record, type) else None


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return without_credentials(value)
    return type(value).__name__ if isinstance(value, DiscoveryStrategy) else value
