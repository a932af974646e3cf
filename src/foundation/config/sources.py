"""Where values come from, each overriding the one before: defaults, environment, arguments."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from foundation.config.config import Config
from foundation.config.cookie import cookie_file, own_cookie, read_cookie
from foundation.config.tls_folder import tls_in
from foundation.core.secret import Secret
from foundation.discovery import DiscoveryStrategy
from foundation.errors import ConfigurationError
from foundation.fabric import FabricOptions, TlsOptions

_ENVIRONMENT = {
    "FOUNDATION_NAME": "name",
    "FOUNDATION_CLUSTER": "cluster",
    "FOUNDATION_CLUSTER_NAME": "cluster_name",
    "FOUNDATION_COOKIE": "cookie",
    "FOUNDATION_COOKIE_FILE": "cookie_file",
    "FOUNDATION_HOST": "host",
    "FOUNDATION_PORT": "port",
    "FOUNDATION_SESSION_PORT": "session_port",
    "FOUNDATION_TLS": "tls",
    "FOUNDATION_TLS_CERTIFICATE": "tls_certificate",
    "FOUNDATION_TLS_PRIVATE_KEY": "tls_private_key",
    "FOUNDATION_TLS_AUTHORITY": "tls_authority",
    "FOUNDATION_PEERS": "peers",
    "FOUNDATION_ROLES": "roles",
    "FOUNDATION_MIN_MEMBERS": "min_members",
    "FOUNDATION_PROBE_PORT": "probe_port",
    "FOUNDATION_PROBE_HOST": "probe_host",
}
_FABRIC = {"host", "port", "session_port", "transport", "tls"}
_TLS = ("certificate", "private_key", "authority")


def load_config(arguments: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """Put a configuration together.

    ``arguments`` are the fields of :class:`Config`, and besides ``cluster`` (a strategy, its name, or several),
    ``cookie`` as text, ``host``, ``port``, ``session_port``, ``transport``, and ``tls`` or its files as
    ``tls_certificate``, ``tls_private_key``, ``tls_authority``. None means: not given.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {key: environ[name] for name, key in _ENVIRONMENT.items() if name in environ}
    given = {key: value for key, value in arguments.items() if value is not None}
    if "cookie_file" in given:
        values.pop("cookie", None)
    values |= given
    for key, read in _READ.items():
        if key in values:
            values[key] = read(key, values[key])
    fabric: FabricOptions = values.pop("fabric", FabricOptions())
    if (tls := _tls(values, fabric.tls)) is not None:
        values["tls"] = tls
    fabric = replace(fabric, **{key: values.pop(key) for key in _FABRIC & values.keys()})
    cookie = values.pop("cookie", None)
    if "cluster" in values:
        values["strategies"] = _strategies(values.pop("cluster"))
    values.setdefault("name", f"{socket.gethostname()}-{os.getpid()}")
    if unknown := values.keys() - {field.name for field in fields(Config)}:
        message = f"unknown: {', '.join(sorted(unknown))}"
        raise ConfigurationError(message)
    if cookie is None:
        cookie, values["cookie_file"] = _cookie_from_file(values.get("cookie_file"))
    else:
        values.pop("cookie_file", None)
    secret = cookie if isinstance(cookie, Secret) else Secret(str(cookie))
    return Config(cookie=secret, fabric=fabric, **values)


def _cookie_from_file(given: Any) -> tuple[Secret, str]:  # noqa: ANN401 - text or a path
    """Read the cookie and return it with the file's name: one that is given has to be there."""
    if given is None:
        return own_cookie(), str(cookie_file())
    try:
        return read_cookie(Path(given)), str(given)
    except OSError as error:
        message = f"the cookie in {given} cannot be read: {error.strerror}"
        raise ConfigurationError(message) from None


def _tls(values: dict[str, Any], known: TlsOptions | None) -> TlsOptions | None:
    """Take the files out of ``values``; options given as a whole win over files from the environment."""
    files: dict[str, Any] = {key: str(values.pop(f"tls_{key}")) for key in _TLS if f"tls_{key}" in values}
    if isinstance(folder := values.get("tls"), str | Path):
        values["tls"] = tls_in(folder)
    if "tls" in values or not files:
        return values.get("tls")
    if known is not None:
        return replace(known, **files)
    if missing := [f"FOUNDATION_TLS_{key.upper()}" for key in _TLS if not files.get(key)]:
        message = f"TLS needs a certificate, its private key and an authority; missing: {', '.join(missing)}"
        raise ConfigurationError(message)
    return TlsOptions(**files)


def _as_list(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - text from the environment, or what a caller gave
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value)


def _as_port(key: str, value: Any) -> int:  # noqa: ANN401
    if str(value).isascii() and str(value).isdecimal() and int(value) < 1 << 16:
        return int(value)
    message = f"{key} must be a number from 0 to 65535 (0: any free one), not {value!r}"
    raise ConfigurationError(message)


def _as_count(key: str, value: Any) -> int:  # noqa: ANN401
    if str(value).isascii() and str(value).isdecimal() and int(value) > 0:
        return int(value)
    message = f"{key} must be a whole number from 1, not {value!r}"
    raise ConfigurationError(message)


_READ: dict[str, Callable[[str, Any], Any]] = {
    "peers": lambda _, value: _as_list(value),
    "roles": lambda _, value: _as_list(value),
    "port": _as_port,
    "session_port": _as_port,
    "probe_port": _as_port,
    "min_members": _as_count,
}


def _strategies(value: Any) -> tuple[str | DiscoveryStrategy, ...]:  # noqa: ANN401
    if isinstance(value, DiscoveryStrategy):
        return (value,)
    return _as_list(value)
