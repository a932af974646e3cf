"""From what was given to one record, or one error that tells everything that is wrong."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from foundation.config.checking import complaints
from foundation.config.config import LOOPBACK, Config
from foundation.config.cookie import cookie_file, own_cookie, read_cookie
from foundation.config.given import Given, Layer, Problems, nested
from foundation.config.keys import (
    SHORT,
    Key,
    dotted,
    hints_of,
    is_list,
    record_type,
    type_of,
    variable,
    without_none,
)
from foundation.config.node_options import NodeOptions
from foundation.config.reading import Reading, read_sources
from foundation.config.settings import ProfileName, Settings
from foundation.config.strategy_checks import options_in
from foundation.core.secret import Secret
from foundation.discovery import DiscoveryStrategy
from foundation.errors import ConfigurationError
from foundation.fabric import FabricOptions

_TLS: Key = ("fabric", "tls")
_TLS_FILES = ("certificate", "private_key", "authority")
_COOKIES: frozenset[Key] = frozenset({("cookie",), ("cookie_file",)})
_ANY_SECRET = Secret("stands for the one that is made at the first start")


def load_config(arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """Put a configuration together: defaults < profile < file < secrets < environment < arguments.

    ``arguments`` are the keys of the file, in their short forms too, as plain values or as records: ``cluster`` (a
    strategy, its name, or several), ``cookie``, ``host``, ``port``, ``membership=MembershipOptions(...)`` or
    ``membership={"down_after_s": 20}``; ``config`` names the file. None means: not given.

    Raises one :class:`ConfigurationError` that lists every problem with its place.
    """
    reading = read_sources(arguments, os.environ if environ is None else environ)
    merged = choose(reading)
    reading.detection.log(merged)
    return _config(_settings(reading, merged), merged, None, guarded=reading.is_production(merged))


def preview(reading: Reading, *, listens: bool = True) -> Config:
    """Return what a node would go by, without making a cookie: one that is not there yet is made up.

    Who does not listen to others is safe without one. Raises :class:`ConfigurationError`, like :func:`load_config`.
    """
    merged = choose(reading)
    cookie = None if cookie_file().exists() else _ANY_SECRET
    return _config(_settings(reading, merged), merged, cookie, guarded=listens and reading.is_production(merged))


def _settings(reading: Reading, merged: Layer) -> Settings:
    settings = settings_of(merged, reading.problems)
    reading.problems.raise_if_any()
    assert settings is not None  # noqa: S101 - or there would be problems
    return settings


def check(reading: Reading) -> tuple[str, ...]:
    """Return everything that is wrong with what was read: for every cluster and every strategy."""
    names: list[str | None] = [*reading.clusters()]
    for cluster in names or [None]:
        merged = reading.merged(cluster)
        settings = settings_of(merged, reading.problems, every_strategy=True)
        if settings is not None and not reading.problems.texts():
            try:
                _config(settings, merged, _ANY_SECRET, guarded=False)  # whose cookie may be on another machine
            except ConfigurationError as error:
                reading.problems.add(str(error))
    return reading.problems.texts()


def choose(reading: Reading) -> Layer:
    """Return what counts for this node; of several clusters, for the one that ``cluster_name`` names."""
    names = reading.clusters()
    if not names:
        return reading.merged()
    given = reading.merged().get(("cluster_name",))
    if given is None and len(names) == 1:
        name = names[0]
    elif given is not None and given.value in names:
        name = given.value
    elif given is not None:
        reading.problems.add(f"{given.label}: there is no table clusters.{given.value}; there are: {', '.join(names)}")
        return reading.merged()
    else:
        reading.problems.add(
            f"{len(names)} clusters are configured ({', '.join(names)}), and a program takes part in one so far:"
            " choose it by FOUNDATION_CLUSTER_NAME, and start a program for each"
        )
        return reading.merged()
    merged = reading.merged(name)
    tables = (given for key, given in reading.merged().items() if key[:2] == ("clusters", name))
    merged.setdefault(("cluster_name",), next(tables).with_value(name))
    return merged


def settings_of(merged: Layer, problems: Problems, *, every_strategy: bool = False) -> Settings | None:
    """Return the values in their types; None when something is wrong with them, which goes to ``problems``.

    Types are left to pydantic where there is a type to find out, which is not so for the plain texts and lists that
    most nodes get by: it would cost each of them some megabytes.
    """
    plain = {key: _without_objects(given) for key, given in merged.items() if not isinstance(given.value, Secret)}
    if (problem := _missing_tls(plain)) is not None:
        problems.add(problem)
        plain = {key: given for key, given in plain.items() if key[:2] != _TLS}
    if not every_strategy and not any(needs_types(key, given) for key, given in plain.items()):
        settings: Settings = _construct(Settings, nested(plain))
        return settings
    from foundation.config.meanings import check_meanings  # noqa: PLC0415
    from foundation.config.validation import validate  # noqa: PLC0415 - pydantic

    validated, found = validate(Settings, nested(plain))
    for text in complaints(plain, found):
        problems.add(text)
    wrong = {where[:1] for where, _, _ in found}
    typed = {key: given for key, given in plain.items() if key[:1] not in wrong}
    check_meanings(typed, problems, every_strategy=every_strategy)
    merged |= {key: given for key, given in typed.items() if key[0] == "strategies"}
    return validated  # type: ignore[no-any-return]


def needs_types(key: Key, given: Given) -> bool:
    """Tell whether a value has to be converted or checked."""
    annotation, value = type_of(key), given.value
    wanted, record = without_none(annotation), record_type(annotation)
    is_plain = type(value) is wanted or is_list(annotation) or wanted is ProfileName
    if given.source == "file":
        return True
    if given.source in {"secrets", "environment"} or isinstance(value, str):
        return not is_plain
    if record is not None:
        return not isinstance(value, record)
    return not is_plain and len(key) > 1 and key not in SHORT.values()


def _without_objects(given: Given) -> Given:
    if isinstance(given.value, tuple) and any(isinstance(item, DiscoveryStrategy) for item in given.value):
        return given.with_value(tuple(item for item in given.value if not isinstance(item, DiscoveryStrategy)))
    return given


def _construct(record: type, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an instance of the record
    hints = hints_of(record)
    made: dict[str, Any] = {}
    for name, value in values.items():
        inner = record_type(hints[name])
        made[name] = _construct(inner, value) if inner is not None and isinstance(value, Mapping) else value
    return record(**made)


def _missing_tls(layer: Layer) -> str | None:
    files = {key[-1]: given for key, given in layer.items() if key[:2] == _TLS and len(key) > len(_TLS)}
    missing = [name for name in _TLS_FILES if not (name in files and files[name].value)]
    if not files or not missing:
        return None
    given = next(iter(files.values()))
    if any(given.source in {"environment", "argument"} for given in files.values()):
        names = [variable((f"tls_{name}",)) for name in missing]
    else:
        names = [dotted((*_TLS, name)) for name in missing]
    return f"{given.place}: TLS needs a certificate, its private key and an authority; missing: {', '.join(names)}"


def _cookie_from_file(file: str | None) -> tuple[Secret, str]:
    """Read the cookie and return it with the file's name: one that is given has to be there."""
    if file is None:
        return own_cookie(), str(cookie_file())
    try:
        return read_cookie(Path(file)), file
    except OSError as error:
        message = f"the cookie in {file} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from None


def _refuse_to_be_reached(fabric: FabricOptions) -> None:
    if fabric.host in LOOPBACK or (fabric.tls is not None and fabric.tls.mutual):
        return
    message = (
        f"refusing to listen on {fabric.host} in production without a cookie that all nodes share: set"
        " FOUNDATION_COOKIE or cookie_file alike on all, mount /run/secrets/foundation/cookie, or use mutual TLS"
    )
    raise ConfigurationError(message)


def _config(settings: Settings, merged: Layer, cookie: Secret | None, *, guarded: bool) -> Config:
    """Build the record; without a cookie take that of this user, which is made at first use.

    A node that is to be ``guarded`` takes no such cookie where other machines reach it: they would have another.
    """
    if guarded and not merged.keys() & _COOKIES:
        _refuse_to_be_reached(settings.fabric)
    common: dict[str, Any] = {field.name: getattr(settings, field.name) for field in fields(NodeOptions)}
    file: str | None = None
    if ("cookie",) in merged:
        given = merged["cookie",].value
        cookie = given if isinstance(given, Secret) else Secret(str(given))
    elif cookie is None or settings.cookie_file is not None:
        cookie, file = _cookie_from_file(settings.cookie_file)
    strategies, fallback = (
        merged[key,].value if (key,) in merged else getattr(settings, key) for key in ("cluster", "fallback")
    )
    return Config(
        name=settings.name if settings.name is not None else f"{socket.gethostname()}-{os.getpid()}",
        cookie=cookie,
        cookie_file=file,
        strategies=strategies,
        fallback=fallback,
        strategy_options=options_in(nested(merged).get("strategies", {})),
        **common,
    )
