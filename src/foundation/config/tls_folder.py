"""Certificates by folder: one word of configuration names all three files."""

from __future__ import annotations

from pathlib import Path

from foundation.errors import ConfigurationError
from foundation.fabric import TlsOptions

_NAMES = {
    "certificate": ("node.pem", "tls.crt"),
    "private_key": ("node-key.pem", "tls.key"),
    "authority": ("authority.pem", "ca.crt"),
}
"""What the files are called: by ``foundation certs issue``, and in the secrets of Kubernetes."""


def tls_in(folder: str | Path) -> TlsOptions:
    """Return the files in a folder as options for mutual TLS; :class:`ConfigurationError` says what is missing."""
    found: dict[str, str] = {}
    for what, names in _NAMES.items():
        there = [Path(folder) / name for name in names if (Path(folder) / name).is_file()]
        if not there:
            message = f"the TLS folder {folder} has no {what.replace('_', ' ')}: neither {' nor '.join(names)}"
            raise ConfigurationError(message)
        found[what] = str(there[0])
    return TlsOptions(found["certificate"], found["private_key"], found["authority"])
