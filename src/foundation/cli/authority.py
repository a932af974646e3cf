"""A small authority for a cluster that has none: it makes certificates for nodes, and nothing else.

Source of what a certificate must say: RFC 5280. Keys are on the curve P-256.
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from foundation.errors import ConfigurationError, MissingExtraError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    message = 'making certificates needs cryptography, which is not installed: pip install "foundation[certs]"'
    raise MissingExtraError(message) from None

CERTIFICATE, KEY, AUTHORITY, AUTHORITY_KEY = "node.pem", "node-key.pem", "authority.pem", "authority-key.pem"
_SKEW = timedelta(hours=1)
"""Certificates are good from a while before they were made, for clocks that are behind."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was written, and until when it is good."""

    files: tuple[Path, ...]
    expires: datetime


def make_authority(folder: Path, name: str, days: float, *, replace: bool = False) -> Made:
    """Write an authority's certificate, and its key, which only its owner can read.

    Raises :class:`ConfigurationError` when there is one already and it is not to be replaced.
    """
    _refuse_existing(folder / AUTHORITY_KEY, replace=replace)
    key = ec.generate_private_key(ec.SECP256R1())
    who = _named(name)
    certificate = (
        _builder(who, who, key, _in_days(days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / AUTHORITY_KEY, _key_pem(key))
    _write(folder / AUTHORITY, certificate.public_bytes(Encoding.PEM), is_secret=False)
    return Made((folder / AUTHORITY, folder / AUTHORITY_KEY), certificate.not_valid_after_utc)


def issue(
    authority: Path,
    folder: Path,
    name: str,
    addresses: Iterable[str],
    days: float,
    *,
    believe: Sequence[Path] = (),
    replace: bool,
) -> Made:
    """Write a node's certificate, its key, and whom it is to believe: all that a node needs for TLS.

    ``authority`` is the folder of :func:`make_authority`; ``addresses`` are the names and IP addresses at which the
    node is dialed, which only nodes that verify names look at; ``believe`` are folders of other authorities that the
    node is to believe too. Raises :class:`ConfigurationError`.
    """
    _refuse_existing(folder / KEY, replace=replace)
    believed = b"".join(_certificate_in(each) for each in (authority, *believe))
    is_own_folder = folder.resolve() == authority.resolve()
    if is_own_folder and believe:
        message = f"{folder} is the authority's own folder, and its file holds no other authority: write to another one"
        raise ConfigurationError(message)
    issuer, issuer_key = _read_authority(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder(_named(name), issuer.subject, key, min(_in_days(days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(ends), critical=False)
        .add_extension(by, critical=False)
    )
    if names := [_general_name(address) for address in addresses]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(issuer_key, SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    if not is_own_folder:
        _write(folder / AUTHORITY, believed, is_secret=False)
    _write(folder / KEY, _key_pem(key))
    _write(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM), is_secret=False)
    return Made((folder / CERTIFICATE, folder / KEY, folder / AUTHORITY), certificate.not_valid_after_utc)


def _refuse_existing(file: Path, *, replace: bool) -> None:
    if file.exists() and not replace:
        message = f"{file} exists; --replace makes another one in its place"
        raise ConfigurationError(message)


def _read_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate(_certificate_in(folder))
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), None)
    except OSError as error:
        raise _no_authority(folder, error) from None
    except (ValueError, TypeError) as error:
        message = f"the authority in {folder} cannot be used: {error}"
        raise ConfigurationError(message) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        message = f"the key in {folder / AUTHORITY_KEY} does not belong to {folder / AUTHORITY}"
        raise ConfigurationError(message)
    if certificate.not_valid_after_utc < datetime.now(UTC):
        message = f"the authority in {folder} has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise ConfigurationError(message)
    return certificate, key


def _certificate_in(folder: Path) -> bytes:
    try:
        return (folder / AUTHORITY).read_bytes()
    except OSError as error:
        raise _no_authority(folder, error) from None


def _no_authority(folder: Path, error: OSError) -> ConfigurationError:
    message = (
        f"there is no authority in {folder} ({error.strerror}: {error.filename}); `foundation certs init` makes one"
    )
    return ConfigurationError(message)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        message = f"the name {name[:80]!r} cannot stand in a certificate: {error}"
        raise ConfigurationError(message) from None


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        pass
    try:
        return x509.DNSName(address)
    except ValueError:
        message = f"{address[:80]!r} is neither an IP address nor a name in ASCII"
        raise ConfigurationError(message) from None


def _in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, content: bytes, *, is_secret: bool = True) -> None:
    """Put a whole file in its place at once, as nodes may be reading it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # readable by its owner only
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
        if not is_secret:
            Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
