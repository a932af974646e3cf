"""Changes of the configuration of a cluster that runs: what was asked for, checked as a file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from foundation.config.arguments import differing
from foundation.config.changeable import UNDECLARED, changeable
from foundation.config.checking import converted, known_only, number_problem
from foundation.config.config import Config
from foundation.config.given import Given, Layer, Problems, flat
from foundation.config.keys import Key, UnknownKey, dotted, full, hints_of, record_type, type_of
from foundation.config.loading import settings_of
from foundation.config.node_options import NodeOptions

_PLACE = "reconfigure"
SECTIONS = tuple(name for name, annotation in hints_of(NodeOptions).items() if record_type(annotation))
"""The fields of a configuration that are the options of a layer."""

NOTHING = "none"
"""How a value of None is written, as in a file: None itself stands for what was not said."""


def checked_changes(values: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return what is asked for as dotted keys with typed values; None takes back what was said at run time.

    Keys are dotted or tables in tables; a record says what differs from its defaults. ``config`` is what a node goes
    by, for what the values stand beside. Raises one :class:`ConfigurationError` that lists every problem.
    """
    problems = Problems()
    wanted = known_only(_layer(values, problems), problems)
    wanted = {key: given for key, given in wanted.items() if _may_change(key, given, problems)}
    layer: Layer = {}
    for key, given in wanted.items():
        if given.value is None:
            continue
        typed = given.with_value(converted(given, type_of(key)))
        if (problem := number_problem(key, typed, type_of(key))) is not None:
            problems.add(problem)
        else:
            layer[key] = typed
    # A record inside a section is checked as a whole, with what stands there.
    beside = {other: given.with_value(_at(config, other)) for key, given in layer.items() for other in _siblings(key)}
    settings = settings_of(beside | layer, problems) if layer else None
    problems.raise_if_any()
    return {dotted(key): None if given.value is None else plain(_at(settings, key)) for key, given in wanted.items()}


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """Return a configuration in which these dotted keys have these typed values."""
    for name, value in values.items():
        config = _replaced(config, _parts(name), _unplain(value))
    return config


def value_of(config: Config, name: str) -> Any:  # noqa: ANN401 - of the type of the key
    """Return what a configuration says for a dotted key."""
    return _at(config, _parts(name))


def plain(value: Any) -> Any:  # noqa: ANN401 - of the type of a key
    """Return a typed value as it is written."""
    return NOTHING if value is None else value


def is_live(name: str) -> bool:
    """Tell whether a change of a dotted key takes effect at once."""
    return changeable(_parts(name)).when == "live"


def note_of(name: str) -> str:
    """Return for whom a change of a dotted key takes effect, or why not at once."""
    return changeable(_parts(name)).note


def _parts(name: str) -> Key:
    return tuple(name.split("."))


def _layer(values: Mapping[str, Any], problems: Problems) -> Layer:
    layer: Layer = {}
    for name, value in flat(values).items():
        key = full(tuple(part for each in name for part in each.split(".")))
        is_record = is_dataclass(value) and type(value) is record_type(_type_or_none(key))
        for part, said in (differing(value, key) if is_record else {key: value}).items():
            if part in layer:
                problems.add(f"{layer[part].label} is given twice; leave one of them")
            layer[part] = _given(part, said)
    return layer


def _given(key: Key, value: Any) -> Given:  # noqa: ANN401
    return Given(value, "run time", _PLACE, f"{_PLACE}: {dotted(key)}")


def _may_change(key: Key, given: Given, problems: Problems) -> bool:
    """Tell whether a key can be changed; if not, ``problems`` hear why."""
    record = record_type(type_of(key))
    found = changeable(key)
    if record is not None and found.note == UNDECLARED:
        problems.add(f"{given.label} is a table; name the key in it: {', '.join(hints_of(record))}")
    elif found.when == "never":
        problems.add(f"{given.label} cannot be changed at run time: {found.note}")
    else:
        return True
    return False


def _siblings(key: Key) -> list[Key]:
    record = record_type(type_of(key[:-1])) if len(key) > 2 else None  # noqa: PLR2004 - section, record, key
    return [] if record is None else [(*key[:-1], field.name) for field in fields(record)]


def _type_or_none(key: Key) -> Any:  # noqa: ANN401 - an annotation
    try:
        return type_of(key)
    except UnknownKey:
        return None


def _at(record: Any, key: Key) -> Any:  # noqa: ANN401
    for part in key:
        record = getattr(record, part)
    return record


def _replaced(record: Any, key: Key, value: Any) -> Any:  # noqa: ANN401
    inner = value if len(key) == 1 else _replaced(getattr(record, key[0]), key[1:], value)
    return replace(record, **{key[0]: inner})


def _unplain(value: Any) -> Any:  # noqa: ANN401
    return None if value == NOTHING else value
