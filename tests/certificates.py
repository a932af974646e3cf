"""Authorities and certificates, made on the fly."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import trustme
from cryptography.x509 import load_pem_x509_certificate

from foundation.fabric import TlsOptions


class Authority:
    """Certifies nodes, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self._authority = trustme.CA()
        self._count = 0
        self.file = self._path("authority.pem")
        self._authority.cert_pem.write_to_path(self.file)

    @property
    def name(self) -> str:
        """What certificates say by whom they were made."""
        return load_pem_x509_certificate(Path(self.file).read_bytes()).subject.rfc4514_string()

    def node(self, *names: str, believes: tuple[Authority, ...] = (), **more: Any) -> TlsOptions:
        """Certify a node under these names; it believes this authority and those given."""
        self._count += 1
        made = self._authority.issue_cert(*(names or ("127.0.0.1",)))
        certificate, key, believed = (
            self._path(f"{self._count}-{kind}.pem") for kind in ("certificate", "key", "authorities")
        )
        Path(certificate).write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        Path(believed).write_text("".join(Path(each.file).read_text() for each in (self, *believes)))
        return TlsOptions(certificate=certificate, private_key=key, authority=believed, **more)

    def _path(self, name: str) -> str:
        return str(self.folder / name)


class Authorities:
    """Makes as many as are asked for, each once: keys cost time."""

    def __init__(self, folder: Path) -> None:
        self.named = functools.cache(lambda name: Authority(folder / name))

    @property
    def ours(self) -> Authority:
        return self.named("ours")

    @property
    def theirs(self) -> Authority:
        return self.named("theirs")
