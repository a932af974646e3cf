"""A TCP connection between two nodes: first the handshake, then, if both want it, a direct link that carries packets.

Both ends are one asyncio protocol, so that a link costs no task and a chunk of bytes no hand-over.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
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
    decode,
    encode,
)
from foundation.fabric.packet import Splitter

_NOT_SENT_LOW_WATER = 16 << 10
_WRITE_HIGH_WATER = 64 << 10
_LENGTH_BYTES = 2


class Link(asyncio.Protocol):
    """One connection. After the handshake, whoever uses it sets :attr:`received` and :attr:`closed`."""

    def __init__(self) -> None:
        self.received: Callable[[memoryview], None] | None = None
        self.writable: Callable[[], None] = lambda: None
        self.closed: Callable[[], None] = lambda: None
        self.is_writable = True
        self._transport: asyncio.Transport | None = None
        self._handshake_bytes = bytearray()
        self._splitter = Splitter()
        self._is_linked = False

    @property
    def host(self) -> str:
        """The address of the other end."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else "unknown"

    @property
    def is_linked(self) -> bool:
        """Tell whether the handshake is over and packets follow."""
        return self._is_linked

    @property
    def is_closing(self) -> bool:
        """Tell whether the connection is gone or going."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep little in the kernel: what waits here can still be overtaken by what is more urgent."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_LOW_WATER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever uses the link."""
        del exc
        self._transport = None
        self.closed()

    def data_received(self, data: bytes) -> None:
        """Feed the handshake, then the link."""
        if self._is_linked:
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
        if self._transport is not None:
            self._transport.write(packets[0] if len(packets) == 1 else b"".join(packets))

    def say(self, message: Message) -> None:
        """Send a message of the handshake."""
        if self._transport is not None:
            self._transport.write(encode(message))

    def become_link(self) -> None:
        """End the handshake; from now on the bytes are packets."""
        self._is_linked = True

    def close(self) -> None:
        """Close once what was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def take(self, message: Message | CodecError) -> None:
        """Go on with the handshake."""

    def _converse(self) -> None:
        while not self.is_linked and (message := self._next_message()) is not None:
            self.take(message)

    def _packets(self, data: bytes) -> None:
        receive = self.received
        if receive is None:
            return
        try:
            for packet in self._splitter.feed(data):
                receive(packet)
        except CodecError:
            self.abort()  # a stream that lost its beat cannot be read on; the session resumes on another path

    def _next_message(self) -> Message | CodecError | None:
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
        try:
            return decode(body)
        except CodecError as error:
            return error


class AcceptedLink(Link):
    """The end at the door."""

    def __init__(
        self,
        me: Identity,
        cookie: Secret,
        refused: Callable[[AcceptedLink, str, str], None],
        linked: Callable[[AcceptedLink, NodeId], None],
        ended: Callable[[AcceptedLink], None],
    ) -> None:
        super().__init__()
        self._handshake = DoorHandshake(me, cookie, secrets.token_bytes(NONCE_BYTES))
        self._refused = refused
        self._linked = linked
        self._ended = ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the door too."""
        super().connection_lost(exc)
        self._ended(self)

    def take(self, message: Message | CodecError) -> None:
        """Answer the stranger."""
        if isinstance(message, CodecError):
            answer: Message = Refused(Refusal.MALFORMED.name)
        else:
            answer = self._handshake.receive(message)
        self.say(answer)
        if isinstance(answer, Refused):
            self._refused(self, self._handshake.claimed_name, self._handshake.explain(Refusal[answer.reason]))
            self.close()
        elif isinstance(answer, Welcome):
            node = self._handshake.link_wanted_by
            if node is None:
                self.close()
            else:
                self.become_link()
                self._linked(self, node)


class DialedLink(Link):
    """The end that dialed."""

    def __init__(self, me: Identity, cookie: Secret, *, wants_link: bool) -> None:
        super().__init__()
        self.welcome: asyncio.Future[Identity] = asyncio.get_running_loop().create_future()
        self._wants_link = wants_link
        self._handshake = DialerHandshake(me, cookie, secrets.token_bytes(NONCE_BYTES), wants_link=wants_link)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce this node."""
        super().connection_made(transport)
        self.say(self._handshake.hello())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for the welcome."""
        super().connection_lost(exc)
        if not self.welcome.done():
            self.welcome.set_exception(UnreachableError("hung up in the middle of the handshake"))

    def take(self, message: Message | CodecError) -> None:
        """Prove this node, and check the other one."""
        try:
            if isinstance(message, CodecError):
                text = f"what answers is not a node: {message}"
                raise HandshakeError(text)
            answer = self._handshake.receive(message)
        except FabricError as error:
            if not self.welcome.done():
                self.welcome.set_exception(error)
            self.abort()
            return
        if not isinstance(answer, Identity):
            self.say(answer)
        elif not self.welcome.done():
            if self._wants_link:
                self.become_link()
            self.welcome.set_result(answer)


async def dial(
    address: tuple[str, int], me: Identity, cookie: Secret, timeout_s: float, *, wants_link: bool
) -> tuple[DialedLink, Identity]:
    """Connect to a door and prove this node there; returns the connection and who lives there.

    Raises :class:`UnreachableError` when nobody answers in time, :class:`RefusedError` when the door refuses,
    :class:`HandshakeError` when what answers is not a node of this cluster.
    """
    host, port = address
    link: DialedLink | None = None
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            _, link = await loop.create_connection(lambda: DialedLink(me, cookie, wants_link=wants_link), host, port)
            return link, await link.welcome
    except BaseException as error:  # noqa: BLE001 - also a cancellation must not leave the connection open
        if link is not None:
            link.abort()
            link.welcome.cancel()
        raise _explained(error, host, port, timeout_s) from None


def _explained(error: BaseException, host: str, port: int, timeout_s: float) -> BaseException:
    if isinstance(error, TimeoutError) and not isinstance(error, FabricError):
        return UnreachableError(f"nobody answered at {host}:{port} within {timeout_s} s")
    if isinstance(error, (OSError, OverflowError, UnicodeError)):  # the last two: no such port, no such host name
        cause = getattr(error, "strerror", None) or error
        refused = isinstance(error, ConnectionRefusedError)
        return UnreachableError(f"cannot reach {host}:{port}: {cause}", connection_refused=refused)
    if isinstance(error, UnreachableError):
        return UnreachableError(f"{host}:{port} {error}")
    if type(error) is HandshakeError:
        return HandshakeError(f"{host}:{port}: {error}")
    return error
