"""Values from ``start_cluster(...)`` or a command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from foundation.config.given import Given, Layer, flat
from foundation.config.keys import Key, dotted, full, hints_of, record_type
from foundation.config.settings import Settings

PLACE = "start_cluster"
_LISTS = {"peers", "roles", "cluster", "fallback"}


def argument_layers(arguments: Mapping[str, Any]) -> tuple[Layer, Layer]:
    """Return records that were given as a whole, and values that were given by themselves; None is not given.

    Of a whole record only what differs from the defaults counts: nobody said the rest. It ranks before the
    environment, so that whoever runs a program can still set one value in it.
    """
    records: Layer = {}
    values: Layer = {}
    known = hints_of(Settings)
    for name, value in arguments.items():
        if value is None:
            continue
        record = record_type(known.get(name))
        if record is not None and type(value) is record:
            records |= {key: _given(key, part) for key, part in differing(value, (name,)).items()}
        else:
            values |= _said(name, value)
    return records, values


def _said(name: str, value: Any) -> Layer:  # noqa: ANN401
    if name == "strategies" and not isinstance(value, Mapping):
        name = "cluster"  # as the field of Config is called
    if name in _LISTS and not isinstance(value, str):
        value = tuple(value) if isinstance(value, Iterable) else (value,)
    if not isinstance(value, Mapping):
        return {full((name,)): _given((name,), value)}
    parts = flat(value, (name,)) if value else {(name,): value}
    return {full(key): _given(key, part) for key, part in parts.items()}


def _given(key: Key, value: Any) -> Given:  # noqa: ANN401
    return Given(value, "argument", PLACE, f"the argument {dotted(key)}")


def differing(record: Any, prefix: Key) -> dict[Key, Any]:  # noqa: ANN401
    """Return what a record says that its defaults do not."""
    found: dict[Key, Any] = {}
    for field in fields(record):
        value, default = getattr(record, field.name), _default(field)
        if value == default:
            continue
        # What stands in the place of nothing, such as certificates, was given in all its parts.
        is_whole = default is None and is_dataclass(value)
        found |= _parts(value, (*prefix, field.name)) if is_whole else {(*prefix, field.name): value}
    return found


def _parts(record: Any, prefix: Key) -> dict[Key, Any]:  # noqa: ANN401
    return {(*prefix, field.name): getattr(record, field.name) for field in fields(record)}


def _default(field: Field[Any]) -> Any:  # noqa: ANN401
    return field.default_factory() if field.default_factory is not MISSING else field.default
