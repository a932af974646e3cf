"""Values with their origin, in layers that override each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from foundation.config.keys import Key
from foundation.errors import ConfigurationError

Source = Literal["default", "strategy", "detected", "profile", "file", "secrets", "environment", "argument", "run time"]


@dataclass(frozen=True, slots=True)
class Given:
    """One value that a source gave."""

    value: Any
    source: Source

    place: str
    """Where it stands, for people: ``foundation.toml:3``, ``FOUNDATION_PORT``, ``start_cluster``."""

    label: str
    """The beginning of a sentence about it: ``foundation.toml:3: fabric.port``."""

    @property
    def is_shown(self) -> bool:
        """Whether the value may be shown, as far as its source goes."""
        return self.source != "secrets"

    def with_value(self, value: Any) -> Given:  # noqa: ANN401 - of any type
        """Return the same with another value."""
        return replace(self, value=value)


Layer = dict[Key, Given]


class Problems:
    """What is wrong, gathered until all of it can be told at once."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Keep a sentence that names its place."""
        self._texts[text] = None

    def texts(self) -> tuple[str, ...]:
        """Return all of them, in the order in which they were found."""
        return tuple(self._texts)

    def raise_if_any(self) -> None:
        """Raise one :class:`ConfigurationError` with all of them."""
        texts = self.texts()
        if texts:
            head = [f"{len(texts)} problems in the configuration:"] if len(texts) > 1 else []
            raise ConfigurationError("\n  ".join([*head, *texts]))


_INSTEAD: dict[Key, Key] = {("cookie",): ("cookie_file",), ("cookie_file",): ("cookie",)}
"""Keys of which one says what the other would."""


def overlay(layers: Iterable[Layer]) -> Layer:
    """Put each layer over the one before. A value replaces a table, and a table a value."""
    merged: Layer = {}
    for layer in layers:
        for key in _INSTEAD.keys() & layer.keys():
            merged.pop(_INSTEAD[key], None)
        for key, given in layer.items():
            for other in [known for known in merged if known != key and (known[: len(key)] == key)]:
                del merged[other]
            for length in range(1, len(key)):
                merged.pop(key[:length], None)
            merged[key] = given
    return merged


def nested(layer: Layer) -> dict[str, Any]:
    """Return the values as tables in tables."""
    tables: dict[str, Any] = {}
    for key, given in layer.items():
        table = tables
        for part in key[:-1]:
            table = table.setdefault(part, {})
        table[key[-1]] = given.value
    return tables


def flat(values: Mapping[str, Any], prefix: Key = ()) -> dict[Key, Any]:
    """Return tables in tables as keys with values; an empty table is a value."""
    found: dict[Key, Any] = {}
    for name, value in values.items():
        key = (*prefix, str(name))
        if isinstance(value, Mapping) and value:
            found |= flat(value, key)
        else:
            found[key] = value
    return found
