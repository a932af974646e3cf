"""The packets of the gossip strategy: encrypted, authenticated, and small enough never to be cut in pieces.

A datagram has at most 1232 bytes, which the smallest packet size of IPv6 leaves for it::

    offset  bytes  content
    0       4      "FdnG"
    4       1      version of the format: 1
    5       8      which secret it is sealed with: HKDF of the secret, label "tag"
    13      12     nonce, drawn at random for each packet
    25      n      message, encrypted with ChaCha20-Poly1305 (RFC 8439)
    25 + n  16     authentication tag over all before it

The key is HKDF-SHA256 (RFC 5869) of the secret, label "key". The message is a MessagePack array: kind (0 here I am, 1
goodbye), start of the sender (nanoseconds since 1970), number (counts up from 1 at each start), time of sending (in
seconds since 1970), identity, name, cluster (or its SHA-256 in hexadecimal digits when it has more than 200 bytes),
version of the library, identity of the sender's loopback interface, and a list of addresses ``host:port``. What a later
version puts behind these is ignored.

Random nonces of 96 bits are safe for 2^32 packets under one secret: 1000 nodes send as many in seven weeks of a packet
each second, and in four months at the default rate. A larger or older cluster should change its secret now and then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Literal

import msgspec

from foundation.core.secret import Secret
from foundation.discovery.extras import missing_extra
from foundation.discovery.peers import MOST_ADDRESSES, Announcement

MAGIC = b"FdnG"
VERSION = 1
TAG_BYTES = 8
NONCE_BYTES = 12
SEAL_BYTES = 16
HEAD_BYTES = len(MAGIC) + 1 + TAG_BYTES + NONCE_BYTES
MOST_BYTES = 1232
MOST_CLUSTER_BYTES = 200
MOST_NAME = 50
MOST_NUMBER = (1 << 63) - 1
_START = MAGIC + bytes([VERSION])

Text = Annotated[str, msgspec.Meta(max_length=512)]
Kind = Literal[0, 1]
HERE: Kind = 0
GOODBYE: Kind = 1


class Message(msgspec.Struct, array_like=True, frozen=True):
    """What a packet says."""

    kind: Kind
    started_ns: Annotated[int, msgspec.Meta(ge=0, le=MOST_NUMBER)]
    number: Annotated[int, msgspec.Meta(ge=1, le=MOST_NUMBER)]
    sent_s: float
    node: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    name: Text
    cluster: Text
    version: Text
    loopback: Text
    addresses: Annotated[tuple[Text, ...], msgspec.Meta(max_length=MOST_ADDRESSES)]


class Junk(Enum):
    """Why a datagram is no packet of ours, the cheapest check first."""

    SIZE = "size"
    """Too long, or too short to be one."""
    MALFORMED = "malformed"
    """It begins with something else, or says what nobody would."""
    FOREIGN = "foreign"
    """Sealed with another secret."""
    FORGED = "forged"
    """Altered, or made by somebody who does not know the secret."""


class Sealer:
    """Seal and open packets with one secret."""

    def __init__(self, secret: Secret) -> None:
        """Derive the key; raises MissingExtraError without the package `cryptography`."""
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
            from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415
        except ImportError as error:
            missing = missing_extra("gossip", "cryptography")
            raise missing from error
        self._invalid: type[Exception] = InvalidTag
        # While a secret is replaced, packets that were sealed with another one are accepted too.
        self._ciphers = {
            _START + _derive(accepted, b"tag", TAG_BYTES): ChaCha20Poly1305(_derive(accepted, b"key", 32))
            for accepted in secret.accepted
        }
        self._start, self._cipher = next(iter(self._ciphers.items()))

    def seal(self, message: Message, nonce: bytes) -> bytes:
        """Return the datagram; ``nonce`` must never have been used with this secret."""
        head = self._start + nonce
        return head + self._cipher.encrypt(nonce, _encoder.encode(message), head)

    def open(self, datagram: bytes) -> Message | Junk:
        """Return what the datagram says, or why it is junk; cheap for most that is."""
        if not HEAD_BYTES + SEAL_BYTES <= len(datagram) <= MOST_BYTES:
            return Junk.SIZE
        cipher = self._ciphers.get(datagram[: HEAD_BYTES - NONCE_BYTES])
        if cipher is None:
            return Junk.FOREIGN if datagram.startswith(_START) else Junk.MALFORMED
        head = datagram[:HEAD_BYTES]
        try:
            return _decoder.decode(cipher.decrypt(head[-NONCE_BYTES:], datagram[HEAD_BYTES:], head))
        except self._invalid:
            return Junk.FORGED
        except (msgspec.MsgspecError, UnicodeError):
            return Junk.MALFORMED


def make_message(announcement: Announcement, loopback: str) -> Callable[[Kind, int, int, float], Message]:
    """Return what makes messages of kind, start, number and time, with as many addresses as a packet has room for."""

    def make(kind: Kind, started_ns: int, number: int, sent_s: float) -> Message:
        return Message(
            kind,
            started_ns,
            number,
            sent_s,
            announcement.node,
            announcement.name[:MOST_NAME],
            fitting(announcement.cluster),
            fitting(announcement.version),
            loopback,
            addresses,
        )

    addresses = announcement.addresses[:MOST_ADDRESSES]
    while len(_encoder.encode(make(HERE, MOST_NUMBER, MOST_NUMBER, 0.0))) > MOST_BYTES - HEAD_BYTES - SEAL_BYTES:
        addresses = addresses[:-1]
    return make


def fitting(text: str) -> str:
    """Return ``text``, or its digest when a packet has no room for it."""
    content = text.encode("utf-8", "surrogatepass")
    return text if len(content) <= MOST_CLUSTER_BYTES and text.isprintable() else hashlib.sha256(content).hexdigest()


def _derive(secret: Secret, label: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    # The secret itself stays where it is: what it proves is as good as a key.
    material = secret.prove(b"foundation gossip")
    return HKDF(SHA256(), length, salt=None, info=b"foundation gossip 1 " + label).derive(material)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)
