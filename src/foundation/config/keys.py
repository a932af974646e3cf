"""The keys of the configuration: their short forms, their types, how each source writes them, which are secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from foundation.config.node_options import NodeOptions
from foundation.config.settings import Settings
from foundation.core.secret import Secret

Key = tuple[str, ...]
PREFIX = "FOUNDATION_"
NESTING = "__"
PORTS = frozenset({"port", "session_port", "probe_port", "default_port"})
HIDDEN = "***"
"""What is shown of a secret."""

SHORT: Mapping[str, Key] = {
    "host": ("fabric", "host"),
    "port": ("fabric", "port"),
    "session_port": ("fabric", "session_port"),
    "transport": ("fabric", "transport"),
    "tls": ("fabric", "tls"),
    "tls_certificate": ("fabric", "tls", "certificate"),
    "tls_private_key": ("fabric", "tls", "private_key"),
    "tls_authority": ("fabric", "tls", "authority"),
}
"""Keys that may be written at the top, and where they belong."""

_SECRET_WORDS = re.compile(r"cookie|password|passphrase|secret|token")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class UnknownKey(Exception):  # noqa: N818 - says what was found
    """There is no such key; ``at`` ends with what is unknown, ``names`` are those there are, None beneath a value."""

    def __init__(self, at: Key, names: Iterable[str] | None) -> None:
        super().__init__(dotted(at))
        self.at = at
        self.names = None if names is None else sorted(names)


def full(key: Key) -> Key:
    """Return where a key belongs that may be in its short form."""
    if len(key) > 2 and key[0] == "clusters":  # noqa: PLR2004
        return (*key[:2], *full(key[2:]))
    return (*SHORT[key[0]], *key[1:]) if key and key[0] in SHORT else key


def dotted(key: Key) -> str:
    """Write a key as in TOML."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{part}"' for part in key)


def variable(key: Key) -> str:
    """Write a key as the name of a variable."""
    return PREFIX + NESTING.join(key).upper()


def type_of(key: Key) -> Any:  # noqa: ANN401 - an annotation
    """Return the annotation of a full key, or raise :class:`UnknownKey`."""
    annotation: Any = Settings
    for depth, part in enumerate(key):
        annotation = _below(annotation, key[: depth + 1], part)
    return annotation


def record_type(annotation: Any) -> Any:  # noqa: ANN401
    """Return the dataclass that an annotation stands for, or None."""
    found = without_none(annotation)
    return found if is_dataclass(found) else None


def without_none(annotation: Any) -> Any:  # noqa: ANN401
    """Return the annotation of what is there, if something is."""
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    others = [option for option in get_args(annotation) if option is not NoneType]
    return others[0] if len(others) == 1 else annotation


def may_be_none(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether None is a value."""
    return get_origin(annotation) in {Union, UnionType} and NoneType in get_args(annotation)


def is_list(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether values are lists."""
    found = without_none(annotation)
    return get_origin(found) in {tuple, list, set, frozenset} or found in {tuple, list, set, frozenset}


@cache
def hints_of(record: type) -> Mapping[str, Any]:
    """Return the fields of a dataclass with their annotations."""
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record)}


def is_secret(key: Key, record: type | None = None) -> bool:
    """Tell whether the value of a key must not be shown; ``record`` are the options of its strategy."""
    if _SECRET_WORDS.search(key[-1].lower()) and not key[-1].endswith("_file"):
        return True
    if record is None or not is_dataclass(record):
        return False
    hidden = {f.name for f in fields(record) if not f.repr}
    return key[-1] in hidden or hints_of(record).get(key[-1]) in {Secret, Secret | None}


def without_credentials(text: str) -> str:
    """Return a text without the user and the password that a URL in it may have."""
    return _CREDENTIALS.sub(HIDDEN, text)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return which of the names was probably meant."""
    from difflib import get_close_matches  # noqa: PLC0415 - where there is a mistake

    found = get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def _below(annotation: Any, at: Key, part: str) -> Any:  # noqa: ANN401
    found = without_none(annotation)
    if found is Any:
        return Any
    if isinstance(found, type) and is_dataclass(found):
        hints = hints_of(found)
        if part not in hints:
            raise UnknownKey(at, {*hints, *SHORT} if issubclass(found, NodeOptions) else hints)
        return hints[part]
    if get_origin(found) in {Mapping, dict}:
        return get_args(found)[1]
    raise UnknownKey(at, None)
