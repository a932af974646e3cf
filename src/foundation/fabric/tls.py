"""TLS between nodes: what this node shows and whom it believes, read once, and conversations that do no I/O.

A conversation turns bytes of the wire into what was said, and the other way round. The connection under it stays a
plain one, so that its buffers, its limits and its time limits hold with TLS as they do without.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import cast

from foundation.errors import ConfigurationError, HandshakeError
from foundation.fabric.options import TlsOptions

_RECORD_TYPES = range(20, 24)
_READ_BYTES = 16 << 10
"""A record holds no more."""

_ROUNDS = 3


class Tls:
    """Both sides of TLS for one node."""

    def __init__(self, options: TlsOptions) -> None:
        """Read the files; :class:`ConfigurationError` names the one that is missing or does not fit the others."""
        self.options = replace(
            options,
            certificate=str(Path(options.certificate).absolute()),
            private_key=str(Path(options.private_key).absolute()),
            authority=str(Path(options.authority).absolute()),
        )
        """The same, also after the program has gone to another folder: engines read the files again."""
        self._verifies_names = options.verify_names
        self._door = _context(ssl.PROTOCOL_TLS_SERVER, options)
        self._door.verify_mode = ssl.CERT_REQUIRED if options.mutual else ssl.CERT_NONE
        self._door.num_tickets = 0  # nobody resumes
        self._dialer = _context(ssl.PROTOCOL_TLS_CLIENT, options)
        self._dialer.check_hostname = False
        self._shown = b""
        self._shown, expires = self._try(options)
        self.expires = expires
        """When the certificate ends, in seconds since 1970."""
        self._dialer.check_hostname = options.verify_names

    def at_door(self) -> Conversation:
        """Begin the conversation of whoever is dialed."""
        return Conversation(self._door, at_door=True, shown=self._shown)

    def to(self, host: str) -> Conversation:
        """Begin the conversation of whoever dials ``host``."""
        try:
            return Conversation(self._dialer, at_door=False, name=host if self._verifies_names else None)
        except ValueError:
            message = f"{host[:80]!r} is not a name that a certificate could have"
            raise HandshakeError(message) from None

    def _try(self, options: TlsOptions) -> tuple[bytes, float]:
        """Let this node talk to itself: a certificate that it would refuse, all the others would refuse too.

        Returns what others see of it: see :meth:`Conversation.door_certificate`, and when that ends.
        """
        door, dialer = self.at_door(), Conversation(self._dialer, at_door=False)
        try:
            dialer.begin()
            for _ in range(_ROUNDS):
                door.take(dialer.for_wire())
                dialer.take(door.for_wire())
        except ssl.SSLError as error:
            message = (
                f"with the TLS authority {options.authority} no node would let this one in that shows the certificate"
                f" {options.certificate}: {getattr(error, 'verify_message', None) or error.reason}"
            )
            raise ConfigurationError(message) from None
        return dialer.door_certificate(), dialer.door_expires()


class Conversation:
    """One connection, seen from one end. All but :meth:`say` may raise :class:`ssl.SSLError`, after which it is over.

    What is to be sent, also after an error, is what :meth:`for_wire` returns.
    """

    def __init__(self, context: ssl.SSLContext, *, at_door: bool, name: str | None = None, shown: bytes = b"") -> None:
        """``shown``, at a door: what :meth:`door_certificate` returns to whoever dials."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=at_door, server_hostname=name)
        self._shown = shown if at_door else None
        self.is_open = False
        """Whether both have shown what was asked of them, as far as this end knows."""
        self.is_over = False
        """Whether the other end will say no more."""

    def begin(self) -> None:
        """Say what comes first: the dialer's greeting."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_open = True

    def door_certificate(self) -> bytes:
        """Return the SHA-256 of the certificate that the door has shown, as this end knows it; only once it is open.

        Where the two ends differ, they are not talking to each other. It is ``tls-server-end-point`` of RFC 5929, with
        one hash for all: what is newer and says more, the exporter of RFC 9266, Python does not offer.
        """
        if self._shown is None:
            self._shown = sha256(self._tls.getpeercert(binary_form=True) or b"").digest()
        return self._shown

    def door_expires(self) -> float:
        """Return when the certificate ends that the door has shown to this dialer; in seconds since 1970."""
        shown = cast("Mapping[str, str]", self._tls.getpeercert() or {})
        return float(ssl.cert_time_to_seconds(shown["notAfter"]))

    def take(self, data: bytes) -> bytes:
        """Take bytes from the wire and return what was said with them."""
        self._incoming.write(data)
        if not self.is_open:
            self.begin()
        return b"".join(iter(self._read, b"")) if self.is_open else b""

    def say(self, data: bytes) -> None:
        """Say something; only once it is open and until :meth:`end`."""
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]

    def end(self) -> None:
        """Say that no more will be said."""
        if self.is_open:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # it wants to read the answer, for which nobody waits
                return

    def for_wire(self) -> bytes:
        """Return what is to be sent now."""
        return self._outgoing.read()

    def _read(self) -> bytes:
        if self.is_over:
            return b""
        try:
            data = self._tls.read(_READ_BYTES)
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            data = b""
        self.is_over = not data
        return data


def is_tls(first: bytes) -> bool:
    """Tell by its first bytes whether a connection speaks TLS: no handshake of ours begins with a message that long."""
    return first[0] in _RECORD_TYPES


def explained(error: ssl.SSLError) -> str:
    """Say in a sentence about the other side why TLS with it has failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it shows no certificate"
    reason = (error.reason or "no reason given").replace("_", " ").lower()
    if "alert" in reason:
        return f"it does not accept the certificate, or the TLS, of this node: {reason}"
    return f"TLS with it has failed: {reason}"


def _context(protocol: int, options: TlsOptions) -> ssl.SSLContext:
    _check_readable(options)
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    _believe(ssl.SSLContext(protocol), "certificate", options.certificate)  # tells a bad certificate from a bad key
    _believe(context, "authority", options.authority)
    try:
        context.load_cert_chain(options.certificate, options.private_key, password="")  # else it asks on the terminal
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            message = f"the TLS private key {options.private_key} does not belong to {options.certificate}"
        else:
            message = f"the TLS private key {options.private_key} is encrypted, or is not a private key in PEM"
        raise ConfigurationError(message) from None
    return context


def _check_readable(options: TlsOptions) -> None:
    files = {
        "certificate": options.certificate,
        "private key": options.private_key,
        "authority": options.authority,
    }
    for what, file in files.items():
        try:
            with Path(file).open("rb"):
                pass
        except OSError as error:
            message = f"the TLS {what} {file!r} cannot be read: {error.strerror}"
            raise ConfigurationError(message) from None


def _believe(context: ssl.SSLContext, what: str, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        message = f"the TLS {what} {file} does not hold a certificate in PEM"
        raise ConfigurationError(message) from None
