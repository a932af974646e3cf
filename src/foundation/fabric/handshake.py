"""How two nodes prove to each other that they belong to one cluster: a mutual challenge that never sends the cookie.

::

    dialer                                   door
      ── Hello(versions, cluster, node, nonce) ▶      refuses: another cluster, no common version, itself, no cookie
      ◀──────── Challenge(nonce, version) ──
      ── Proof(mac) ───────────────────────────▶      refuses: another cookie
      ◀── Welcome(mac, who I am, endpoints) ──        the dialer checks that mac in turn

The dialer proves first, so a stranger who merely knocks learns nothing that is made with the cookie. Both proofs cover
both nonces and both identities, so neither can be replayed nor reflected; the door's covers its endpoints too.

Signed are the bytes as they were sent, never what this node understood of them: a newer node may say more at the end of
every message. Only what stands in Hello, Challenge and Identity is signed, so that is where it has to say what is to be
believed. The door takes the highest version that both speak; as the offer and the choice are signed, nobody on the way
can talk the two down.

Inside TLS both sign the door's certificate too, each as it knows it. So nobody who has a certificate of the cluster,
but not the cookie, can stand between two nodes and have them prove themselves to each other. Pure: bytes in, messages
out.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import TypeVar

import msgspec

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.errors import CodecError, HandshakeError, RefusedError
from foundation.fabric.versions import SPOKEN, Versions

NONCE_BYTES = 16
MOST_BYTES = 16 << 10
"""A longer handshake message is refused unread."""

_DOUBT = "; or somebody stands between the two, and TLS with the one is not TLS with the other"
_MOST_SHOWN = 40
_T = TypeVar("_T")


class Refusal(StrEnum):
    """Why a door stays shut; the sentence is what the logs of both sides say."""

    COOKIE = "its cookie is not the cookie of this cluster"
    NO_COOKIE = "it has no cookie, and this cluster has one"
    COOKIE_UNWANTED = "it has a cookie, and this cluster has none"
    CLUSTER = "it belongs to another cluster"
    PROTOCOL = "it speaks no version of the protocol that this node speaks"
    ITSELF = "it is this node itself"
    MALFORMED = "what it sent is not a handshake"
    NO_TLS = "it does not speak TLS, and this node does"
    TLS_UNWANTED = "it speaks TLS, and this node does not"


_SEEN_BY_DIALER = {
    Refusal.COOKIE: "this node's cookie is not the cookie of that cluster (set FOUNDATION_COOKIE alike on both)",
    Refusal.NO_COOKIE: "this node has no cookie, and that cluster has one (set FOUNDATION_COOKIE)",
    Refusal.COOKIE_UNWANTED: "this node has a cookie, and that cluster has none",
    Refusal.CLUSTER: "that node belongs to another cluster",
    Refusal.ITSELF: "the address leads back to this node",
    Refusal.MALFORMED: "it did not understand the handshake",
    Refusal.NO_TLS: "this node does not speak TLS, and that node does (set FOUNDATION_TLS_CERTIFICATE and so on)",
    Refusal.TLS_UNWANTED: "this node speaks TLS, and that node does not",
}
"""The door's sentences about us, turned into ours about ourselves; that about versions names them."""


class Acquaintance(msgspec.Struct, frozen=True, array_like=True):
    """Another node that the one at the door knows, and where its own door is."""

    node: NodeId
    addresses: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Who a node is, as it says at a door."""

    cluster: str
    node: NodeId
    name: str
    version: str
    endpoints: tuple[str, ...]
    others: tuple[Acquaintance, ...] = ()


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What the dialer says first, before any version is agreed on: this message only ever grows at its end."""

    newest: int
    """The newest version that it speaks."""
    cluster: str
    node: NodeId
    nonce: bytes
    has_cookie: bool
    name: str = ""
    wants_link: bool = False
    """Whether the connection is to stay, as a direct link, once both have proved themselves."""
    oldest: int = 0
    """The oldest version that it still speaks; 0: only the newest."""


class Challenge(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What the door asks a dialer to sign."""

    nonce: bytes
    node: NodeId
    version: int
    """The version that both speak from now on."""


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The dialer's signature."""

    mac: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """The door's signature, and how to go on."""

    mac: bytes
    identity: msgspec.Raw
    """An :class:`Identity`, not to be read before ``mac`` has been checked."""


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The door stays shut; ``reason`` is the name of a :class:`Refusal`. This, too, only ever grows at its end."""

    reason: str
    newest: int = 0
    """The newest version that the door speaks; 0 where that is not the reason, or from a door that does not tell."""
    oldest: int = 0
    """The oldest version that the door still speaks; 0: only the newest."""


Message = Hello | Challenge | Proof | Welcome | Refused

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_identity_decoder: msgspec.msgpack.Decoder[Identity] = msgspec.msgpack.Decoder(Identity)


def encode(message: Message) -> bytes:
    """Write a message with its length in front (two bytes)."""
    body = _encode(message)
    return len(body).to_bytes(2, "big") + body


def decode(body: bytes) -> Message:
    """Read a message without its length; anything else is a :class:`CodecError`."""
    return _read(_decoder, body)


def _read(decoder: msgspec.msgpack.Decoder[_T], body: bytes | msgspec.Raw) -> _T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        message = f"not a handshake message: {error}"
        raise CodecError(message) from error


class DialerHandshake:
    """The dialer's side of one handshake."""

    def __init__(
        self,
        me: Identity,
        cookie: Secret,
        nonce: bytes,
        *,
        wants_link: bool = False,
        speaks: Versions = SPOKEN,
        channel: bytes = b"",
    ) -> None:
        """``channel`` is what both sides, and they alone, know of the connection; empty without TLS."""
        self._sign = partial(_sign, cookie, channel)
        self._has_channel = bool(channel)
        self._speaks = speaks
        self._hello = Hello(
            speaks.newest, me.cluster, me.node, nonce, bool(cookie), me.name, wants_link, oldest=speaks.oldest
        )
        self._said = [_encode(self._hello)]
        self._challenge: Challenge | None = None

    @property
    def version(self) -> int:
        """The version to speak; 0 before the door has chosen it, and proved only when the handshake is over."""
        return self._challenge.version if self._challenge else 0

    def hello(self) -> Hello:
        """Return what to say first."""
        return self._hello

    def receive(self, body: bytes) -> Proof | Identity:
        """Take the door's answer, without its length: return the next message, or at the end who it is.

        Raises :class:`RefusedError` with the door's reason, :class:`HandshakeError` when the door cannot prove that it
        has the cookie, :class:`CodecError` when it said something else.
        """
        match decode(body):
            case Refused(reason) as refused:
                known = Refusal.__members__.get(reason)
                why = repr(reason[:80]) if known is None else self._explain(known, refused)
                text = f"refused by the node there: {why}"
                raise RefusedError(text, reason)
            case Challenge() as challenge if self._challenge is None:
                if challenge.version not in self._speaks:
                    text = f"the node there chose version {challenge.version}, and this node speaks {self._speaks}"
                    raise HandshakeError(text)
                self._challenge = challenge
                self._said.append(body)
                return Proof(self._sign(b"dialer", self._said))
            case Welcome(mac, identity) if self._challenge is not None:
                return self._verified(mac, identity, self._challenge.node)
            case message:
                text = f"the node there answered with {type(message).__name__} out of turn"
                raise HandshakeError(text)

    def _explain(self, refusal: Refusal, refused: Refused) -> str:
        if refusal is not Refusal.PROTOCOL:
            return _SEEN_BY_DIALER[refusal] + (_DOUBT if refusal is Refusal.COOKIE and self._has_channel else "")
        theirs = _range(refused.newest, refused.oldest) if refused.newest else "another version"
        return f"that node speaks {theirs} of the protocol, and this node {self._speaks}"

    def _verified(self, mac: bytes, identity: msgspec.Raw, challenger: NodeId) -> Identity:
        is_proved = hmac.compare_digest(mac, self._sign(b"door", [*self._said, bytes(identity)]))
        if not is_proved or (who := _read(_identity_decoder, identity)).node != challenger:
            text = "the node there does not have the cookie of this cluster" + (_DOUBT if self._has_channel else "")
            raise HandshakeError(text)
        return who


class DoorHandshake:
    """The door's side of one handshake. :attr:`accepted` is set once the dialer has proved itself."""

    def __init__(
        self, me: Identity, cookie: Secret, nonce: bytes, *, speaks: Versions = SPOKEN, channel: bytes = b""
    ) -> None:
        """``channel``: see :class:`DialerHandshake`."""
        self._me = me
        self._speaks = speaks
        self._has_cookie = bool(cookie)
        self._signs = [partial(_sign, accepted, channel) for accepted in cookie.accepted]
        self._has_channel = bool(channel)
        self._nonce = nonce
        self._hello: Hello | None = None
        self._said: list[bytes] = []
        self._is_over = False
        self.accepted = False
        self.version = 0
        """The version to speak; 0 before it is chosen."""

    @property
    def link_wanted_by(self) -> NodeId | None:
        """Who proved itself and wants to stay connected."""
        return self._hello.node if self._hello and self.accepted and self._hello.wants_link else None

    @property
    def claimed_name(self) -> str:
        """Who the dialer says it is; not proved before :attr:`accepted`."""
        if self._hello is None:
            return "a stranger"
        text = f"{self._hello.name[:_MOST_SHOWN] or 'a node'} {self._hello.node[:8]}"
        return "".join(character if character.isprintable() else "?" for character in text)

    def explain(self, refusal: Refusal) -> str:
        """Say why in the words of this side's log; of versions, which ones met."""
        if refusal is Refusal.PROTOCOL and self._hello is not None:
            theirs = _range(self._hello.newest, self._hello.oldest)
            return f"{refusal}: it speaks {theirs}, and this node {self._speaks}"
        return refusal + (_DOUBT if refusal is Refusal.COOKIE and self._has_channel else "")

    def receive(self, body: bytes) -> Challenge | Welcome | Refused:
        """Take the dialer's message, without its length, and answer; a :class:`Refused` ends the handshake."""
        answer = Refused(Refusal.MALFORMED.name) if self._is_over else self._answer(body)
        self._is_over = isinstance(answer, Refused | Welcome)
        return answer

    def _answer(self, body: bytes) -> Challenge | Welcome | Refused:
        try:
            message = decode(body)
        except CodecError:
            return Refused(Refusal.MALFORMED.name)
        match message:
            case Hello() if self._hello is None:
                self._hello = message
                version = self._speaks.common(_range(message.newest, message.oldest))
                if version is None:
                    return Refused(Refusal.PROTOCOL.name, *self._speaks)
                refusal = self._objection(message)
                return self._challenge(body, version) if refusal is None else Refused(refusal.name)
            case Proof(mac) if self._hello is not None:
                return self._welcome(mac)
            case _:
                return Refused(Refusal.MALFORMED.name)

    def _challenge(self, hello: bytes, version: int) -> Challenge:
        self.version = version
        challenge = Challenge(self._nonce, self._me.node, version)
        self._said = [hello, _encode(challenge)]
        return challenge

    def _welcome(self, mac: bytes) -> Welcome | Refused:
        sign = next((sign for sign in self._signs if hmac.compare_digest(mac, sign(b"dialer", self._said))), None)
        if sign is None:
            return Refused(Refusal.COOKIE.name)
        self.accepted = True
        identity = _encode(self._me)
        return Welcome(sign(b"door", [*self._said, identity]), msgspec.Raw(identity))

    def _objection(self, hello: Hello) -> Refusal | None:
        checks = (
            (hello.cluster != self._me.cluster, Refusal.CLUSTER),
            (hello.node == self._me.node, Refusal.ITSELF),
            (len(hello.nonce) != NONCE_BYTES, Refusal.MALFORMED),
            (self._has_cookie and not hello.has_cookie, Refusal.NO_COOKIE),
            (not self._has_cookie and hello.has_cookie, Refusal.COOKIE_UNWANTED),
        )
        return next((refusal for objection, refusal in checks if objection), None)


def _sign(cookie: Secret, channel: bytes, role: bytes, said: Sequence[bytes]) -> bytes:
    return cookie.prove(b"foundation handshake", role, channel, *said)


def _range(newest: int, oldest: int) -> Versions:
    return Versions(newest, oldest or newest)
