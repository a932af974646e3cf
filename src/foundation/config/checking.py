"""Find everything that is wrong with what was given, and say it where it was given."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from foundation.config.given import Given, Layer, Problems
from foundation.config.keys import (
    PORTS,
    Key,
    UnknownKey,
    dotted,
    is_list,
    is_secret,
    may_be_none,
    nearest,
    type_of,
    variable,
    without_credentials,
    without_none,
)
from foundation.config.settings import ProfileName

MISSING = "is missing"
_MOST_PORT = 65535
_MOST_SHOWN = 60
_FROM_ONE = {
    ("min_members",),
    ("discovery", "most_peers"),
    ("discovery", "restart_after"),
    ("distribution", "batch"),
    ("distribution", "moves_at_once"),
    ("fabric", "max_strangers"),
    ("fabric", "most_frame_bytes"),
    ("fabric", "queue_bytes"),
    ("fabric", "window_bytes"),
    ("membership", "most_dials"),
    ("processes", "aside_capacity"),
    ("processes", "mailbox_capacity"),
    ("processes", "offload_processes"),
    ("processes", "offload_threads"),
    ("processes", "stream_credit"),
    ("processes", "turn_messages"),
}
"""With none of these a node would do nothing at all."""
_ABOVE_ZERO = {
    ("discovery", "poll_interval_s"),
    ("distribution", "forget_after_s"),
    ("distribution", "rebalance_per_s"),
    ("fabric", "credentials_poll_s"),
    ("fabric", "handshake_timeout_s"),
    ("fabric", "introduction_timeout_s"),
    ("fabric", "lease_s"),
    ("fabric", "open_timeout_s"),
    ("membership", "tick_s"),
    ("registry", "retry_s"),
    ("replication", "compare_interval_s"),
    ("replication", "want_timeout_s"),
}
"""Without time for these a node would do nothing, or nothing else."""


def known_only(layer: Layer, problems: Problems) -> Layer:
    """Return what has a key that exists; the rest goes to ``problems`` with the nearest name."""
    kept: Layer = {}
    for key, given in layer.items():
        try:
            type_of(key)
        except UnknownKey as unknown:
            problems.add(unknown_text(given, key, unknown))
        else:
            kept[key] = given
    return kept


def unknown_text(given: Given, key: Key, unknown: UnknownKey) -> str:
    """Say that there is no such key, and which was probably meant."""
    parent = unknown.at[:-1]
    if unknown.names is None:
        return f"{given.label}: {dotted(parent)} is a value, not a table"
    found = nearest(unknown.at[-1], unknown.names)
    if given.source == "environment":
        meant = f"; did you mean {variable((*parent, found, *key[len(unknown.at) :]))}?" if found else ""
        return f"{given.label}: there is no such variable{meant}"
    meant = f"; did you mean {dotted((*parent, found))}?" if found else f"; there are: {', '.join(unknown.names)}"
    what = {"secrets": "secret", "argument": "argument"}.get(given.source, "key")
    return f"{given.label}: there is no such {what}{meant}"


def converted(given: Given, annotation: Any) -> Any:  # noqa: ANN401
    """Return a value as its type has it, where a source knows only texts: lists, numbers of ports, nothing."""
    value = str(given.value) if isinstance(given.value, Path) else given.value
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) and is_list(annotation) else value
    if is_list(annotation):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    wanted = without_none(annotation)
    if may_be_none(annotation) and wanted is not str and value.lower() == "none":
        return None
    is_decimal = wanted is int and value.isascii() and value.isdecimal() and len(value) <= 18  # noqa: PLR2004
    return int(value) if is_decimal else value


def number_problem(key: Key, given: Given, annotation: Any) -> str | None:  # noqa: ANN401
    """Say what is wrong with a number; no number of the configuration is negative."""
    wanted, value = without_none(annotation), given.value
    if wanted not in {int, float} or value is None:
        return None
    if key[-1] in PORTS and not (type(value) is int and 0 <= value <= _MOST_PORT):
        return said(given, key, f"must be a number from 0 to {_MOST_PORT} (0: any free one)", value)
    if isinstance(value, bool):
        return said(given, key, f"must be a {'whole ' if wanted is int else ''}number", value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None  # the type is checked elsewhere
    if (wanted_range := _out_of_range(key, number)) is None:
        return None
    return said(given, key, wanted_range, value)


def _out_of_range(key: Key, number: float) -> str | None:
    if not math.isfinite(number):
        return "must be finite"
    section = key[2:] if key[0] == "clusters" else key
    if section in _FROM_ONE and number < 1:
        return "must be a number from 1"
    if section in _ABOVE_ZERO and number == 0:
        return "must be more than 0"
    return "must not be negative" if number < 0 else None


def profile_problem(key: Key, given: Given) -> str | None:
    """Say what is wrong with the name of a profile."""
    names = get_args(ProfileName)
    if key != ("profile",) or given.value in names:
        return None
    found = nearest(str(given.value), names)
    meant = f"; did you mean {found!r}?" if found else ""
    return said(given, key, f"must be one of {', '.join(names)}", given.value) + meant


def said(given: Given, key: Key, wanted: str, value: object, *, secret: bool | None = None) -> str:
    """Say what is wanted instead of a value, and show it unless it is a secret."""
    secret = is_secret(key) if secret is None else secret
    if secret or not given.is_shown:
        return f"{given.label} {wanted} (what is there is not shown)"
    return f"{given.label} {wanted}, not {shown_value(value)}"


def shown_value(value: object) -> str:
    """Write a value for people, without the credentials of a URL, and not longer than a line."""
    text = ("false", "true")[value] if isinstance(value, bool) else repr(value)
    text = without_credentials(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def origin_of(layer: Layer, key: Key) -> tuple[Key, Given] | None:
    """Return what was given for a key: itself, else the nearest table above or the first value below it."""
    for length in range(len(key), 0, -1):
        if key[:length] in layer:
            return key[:length], layer[key[:length]]
    for length in range(len(key), 0, -1):
        below = [known for known in layer if known[:length] == key[:length]]
        if below:
            return below[0], layer[below[0]]
    return None


def complaints(
    layer: Layer, found: Iterable[tuple[Key, str, Any]], prefix: Key = (), secrets: Collection[Key] = ()
) -> Iterable[str]:
    """Put the complaints of a validation into words."""
    for where, wanted, value in found:
        key = (*prefix, *where)
        origin = origin_of(layer, key)
        if origin is None:
            yield f"{dotted(key)} {wanted}"
            continue
        at, given = origin
        if wanted == MISSING:
            yield f"{given.label}: {dotted(key)} {wanted}"
            continue
        secret = is_secret(at) or at in secrets
        inside = "".join(f"[{part}]" for part in key[len(at) :] if part.isdecimal())
        yield said(replace(given, label=given.label + inside), at, wanted, value, secret=secret)
