"""A TCP connection between two nodes: first the handshake, then, if both want it, a direct link that carries packets.

Where a node has certificates, all of that is inside TLS, which begins with the first byte. Both ends are one asyncio
protocol, so that a link costs no task and a chunk of bytes no hand-over.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import cast

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import chance
from foundation.errors import CodecError, FabricError, HandshakeError, UnreachableError
from foundation.fabric.handshake import (
    MOST_BYTES,
    NONCE_BYTES,
    DialerHandshake,
    DoorHandshake,
    Identity,
    Message,
    Refusal,
    Refused,
    Welcome,
    encode,
)
from foundation.fabric.packet import Splitter
from foundation.fabric.tls import Conversation, explained, is_tls

_NOT_SENT_LOW_WATER = 16 << 10
_WRITE_HIGH_WATER = 64 << 10
_LENGTH_BYTES = 2
_MOST_EARLY = 64 << 10
"""So much may come before a link is taken over, which is in a turn or two; who waits for an answer sends less."""
_U32 = Struct("=I")
# Of `struct tcp_info` in linux/tcp.h: tcpi_rtt and tcpi_min_rtt, both in microseconds.
_ROUND_TRIP_AT = 68
_SHORTEST_ROUND_TRIP_AT = 148
_TCP_INFO_BYTES = 152


class Link(asyncio.Protocol):
    """One connection. After the handshake, whoever uses it sets :attr:`closed` and calls :meth:`take_over`."""

    def __init__(self, tls: Conversation | None = None) -> None:
        self._receive: Callable[[memoryview], None] | None = None
        self._early = bytearray()
        """Packets, or parts of them, that came with the end of the handshake, before anybody took the link over."""
        self.writable: Callable[[], None] = lambda: None
        self.closed: Callable[[], None] = lambda: None
        self.is_writable = True
        self._transport: asyncio.Transport | None = None
        self._tls = tls
        self._is_fresh = True
        self._handshake_bytes = bytearray()
        self._splitter = Splitter()
        self.version = 0
        """The version of packets that both agreed on; 0 before they follow."""

    @property
    def host(self) -> str:
        """The address of the other end."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        if isinstance(name, str):  # of a Unix socket
            return "this machine"
        return str(name[0]) if name else "unknown"

    def round_trip_s(self) -> tuple[float, float] | None:
        """Return the present and the shortest round trip in seconds as the kernel saw them, where it tells."""
        raw: socket.socket | None = self._transport.get_extra_info("socket") if self._transport else None
        if raw is None or sys.platform != "linux" or raw.family == socket.AF_UNIX:
            return None
        try:
            state = raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return None
        if len(state) < _TCP_INFO_BYTES:  # before Linux 4.9
            return None
        (present_us,) = _U32.unpack_from(state, _ROUND_TRIP_AT)
        (shortest_us,) = _U32.unpack_from(state, _SHORTEST_ROUND_TRIP_AT)
        return present_us / 1e6, shortest_us / 1e6

    @property
    def is_linked(self) -> bool:
        """Tell whether the handshake is over and packets follow."""
        return self.version > 0

    @property
    def is_closing(self) -> bool:
        """Tell whether the connection is gone or going."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep little in the kernel: what waits here can still be overtaken by what is more urgent."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None and raw.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_LOW_WATER)
        if self._tls is None:
            self.opened()
        else:
            self._tls.begin()
            self._to_wire(self._tls)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever uses the link."""
        del exc
        self._transport = None
        self.closed()

    def data_received(self, data: bytes) -> None:
        """Feed TLS, the handshake, then the link."""
        if self._is_fresh:
            self._is_fresh = False
            if is_tls(data) != (self._tls is not None):
                self.mistrust(Refusal.NO_TLS if self._tls else Refusal.TLS_UNWANTED)
                return
        if self._tls is None:
            self._heard(data)
        else:
            self._heard(self._deciphered(self._tls, data))
            if self._tls.is_over:
                self.close()

    def _deciphered(self, tls: Conversation, data: bytes) -> bytes:
        was_open, said = tls.is_open, b""
        try:
            said = tls.take(data)
        except ssl.SSLError as error:
            self._to_wire(tls)  # the other side is told too
            if self.is_linked:
                self.abort()
            else:
                self.mistrust(explained(error))
        else:
            if tls.is_open and not was_open:
                self.opened()
            self._to_wire(tls)
        return said

    def _heard(self, data: bytes) -> None:
        if self.version:
            self._packets(data)
            return
        self._handshake_bytes += data
        self._converse()
        if self._handshake_bytes and self.is_linked:
            rest, self._handshake_bytes = bytes(self._handshake_bytes), bytearray()
            self._packets(rest)

    def pause_writing(self) -> None:
        """Enough waits: what comes now is better kept where it can be overtaken."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Go on."""
        self.is_writable = True
        self.writable()

    def write(self, packets: Sequence[bytes]) -> None:
        """Send packets; never blocks."""
        self._send(packets[0] if len(packets) == 1 else b"".join(packets))

    def say(self, message: Message) -> None:
        """Send a message of the handshake."""
        self._send(encode(message))

    def become_link(self, version: int) -> None:
        """End the handshake; from now on the bytes are packets, of that version."""
        self.version = version

    def take_over(self, receive: Callable[[memoryview], None]) -> None:
        """Have packets handed to ``receive`` from now on, at once those that came already."""
        self._receive = receive
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._packets(early)

    def close(self) -> None:
        """Close once what was written is sent."""
        if self._transport is not None:
            if self._tls is not None and not self.is_closing:
                self._tls.end()
                self._to_wire(self._tls)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def opened(self) -> None:
        """Begin the handshake: from now on something can be said."""

    @abstractmethod
    def take(self, body: bytes | CodecError) -> None:
        """Go on with the handshake: a message without its length, or one that is too long to be read."""

    @abstractmethod
    def mistrust(self, why: Refusal | str) -> None:
        """Give up, as only one side speaks TLS (a :class:`Refusal`), or the two do not agree on it."""

    def _send(self, data: bytes) -> None:
        if self._transport is None:
            return
        if self._tls is None:
            self._transport.write(data)
        elif not self.is_closing:
            self._tls.say(data)
            self._to_wire(self._tls)

    def _to_wire(self, tls: Conversation) -> None:
        if self._transport is not None and (data := tls.for_wire()):
            self._transport.write(data)

    def _converse(self) -> None:
        while not self.is_linked and (message := self._next_message()) is not None:
            self.take(message)

    def _packets(self, data: bytes) -> None:
        receive = self._receive
        if receive is None:
            self._early += data
            if len(self._early) > _MOST_EARLY:
                self.abort()
            return
        try:
            for packet in self._splitter.feed(data):
                receive(packet)
        except CodecError:
            self.abort()  # a stream that lost its beat cannot be read on; the session resumes on another path

    def _next_message(self) -> bytes | CodecError | None:
        if self._transport is None or len(self._handshake_bytes) < _LENGTH_BYTES:
            return None
        size = int.from_bytes(self._handshake_bytes[:_LENGTH_BYTES], "big")
        if size > MOST_BYTES:
            self._handshake_bytes.clear()
            return CodecError(f"a handshake message of {size} bytes")
        if len(self._handshake_bytes) < _LENGTH_BYTES + size:
            return None
        body = bytes(self._handshake_bytes[_LENGTH_BYTES : _LENGTH_BYTES + size])
        del self._handshake_bytes[: _LENGTH_BYTES + size]
        return body


class AcceptedLink(Link):
    """The end at the door."""

    def __init__(
        self,
        me: Identity,
        cookie: Secret,
        refused: Callable[[AcceptedLink, str, str], None],
        linked: Callable[[AcceptedLink, NodeId], None],
        ended: Callable[[AcceptedLink], None],
        tls: Conversation | None = None,
    ) -> None:
        super().__init__(tls)
        channel = tls.door_certificate() if tls else b""
        self._handshake = DoorHandshake(me, cookie, chance().randbytes(NONCE_BYTES), channel=channel)
        self._refused = refused
        self._linked = linked
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the door too."""
        super().connection_lost(exc)
        self._ended(self)

    def take(self, body: bytes | CodecError) -> None:
        """Answer the stranger."""
        if isinstance(body, CodecError):
            answer: Message = Refused(Refusal.MALFORMED.name)
        else:
            answer = self._handshake.receive(body)
        self.say(answer)
        if isinstance(answer, Refused):
            self._refused(self, self._handshake.claimed_name, self._handshake.explain(Refusal[answer.reason]))
            self.close()
        elif isinstance(answer, Welcome):
            node = self._handshake.link_wanted_by
            if node is None:
                self.close()
            else:
                self.become_link(self._handshake.version)
                self._linked(self, node)

    def mistrust(self, why: Refusal | str) -> None:
        """Send the stranger away; one without TLS is told so in the clear, which is all that it understands."""
        if isinstance(why, Refusal) and self._transport is not None:
            self._transport.write(encode(Refused(why.name)))
        self._refused(self, "a stranger", why)
        self.close()


class DialedLink(Link):
    """The end that dialed."""

    _handshake: DialerHandshake

    def __init__(self, me: Identity, cookie: Secret, tls: Conversation | None = None, *, wants_link: bool) -> None:
        super().__init__(tls)
        self.welcome: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self._wants_link = wants_link
        self._begin = partial(DialerHandshake, me, cookie, chance().randbytes(NONCE_BYTES), wants_link=wants_link)

    def opened(self) -> None:
        """Introduce this node."""
        self._handshake = self._begin(channel=self._tls.door_certificate() if self._tls else b"")
        self.say(self._handshake.hello())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the welcome."""
        super().connection_lost(exc)
        if not self.welcome.done():
            self.welcome.set_exception(UnreachableError("hung up in the middle of the handshake"))

    def take(self, body: bytes | CodecError) -> None:
        """Prove this node, and check the other one."""
        try:
            if isinstance(body, CodecError):
                raise body
            answer = self._handshake.receive(body)
        except FabricError as error:
            if not self.welcome.done():
                self.welcome.set_exception(error)
            self.abort()
            return
        if not isinstance(answer, Identity):
            self.say(answer)
        elif not self.welcome.done():
            if self._wants_link:
                self.become_link(self._handshake.version)
            self.welcome.set_result(answer)

    def mistrust(self, why: Refusal | str) -> None:
        """Tell whoever waits for the welcome."""
        if not self.welcome.done():
            self.welcome.set_exception(HandshakeError(why))
        self.close()
