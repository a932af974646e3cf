"""The door of a node: where others prove themselves, and where this node knocks at theirs.

A stranger costs a bounded amount: so many at a time, so many bytes, so many seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from foundation.core.secret import Secret
from foundation.core.tasks import TaskScope
from foundation.errors import CodecError, HandshakeError, ListenError, UnreachableError
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
from foundation.fabric.options import FabricOptions

logger = logging.getLogger(__name__)

_MOST_REMEMBERED = 1000


class Door:
    """Answer knocks with a handshake; log each refusal once per stranger and reason, and count them all."""

    def __init__(self, identity: Callable[[], Identity], cookie: Secret, options: FabricOptions) -> None:
        self._identity = identity
        self._cookie = cookie
        self._options = options
        self._server: asyncio.Server | None = None
        self._strangers = TaskScope("door")
        self._logged: set[tuple[str, str]] = set()
        self.port = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        host, port = self._options.host, self._options.port
        try:
            self._server = await asyncio.start_server(self._opened, host, port, limit=MOST_BYTES)
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            cause = "the port is in use; stop its user or choose another port" if in_use else error.strerror or error
            message = f"cannot listen on {host}:{port}: {cause}"
            raise ListenError(message) from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            await self._strangers.close()
            await server.wait_closed()

    def _opened(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
        elif len(self._strangers) >= self._options.max_strangers:
            self._refuse("somebody", writer, f"{self._options.max_strangers} strangers stand at the door already")
            writer.transport.abort()
        else:
            self._strangers.start(self._answer(reader, writer), "stranger")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._options.handshake_timeout_s):
                await self._converse(reader, writer)
                writer.close()
                await writer.wait_closed()
        except TimeoutError:
            self._refuse("a stranger", writer, f"it did not prove itself in {self._options.handshake_timeout_s} s")
        except (OSError, asyncio.IncompleteReadError):
            pass  # it left: somebody who only looks whether the port is open does so all the time
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshake = DoorHandshake(self._identity(), self._cookie, secrets.token_bytes(NONCE_BYTES))
        while True:
            try:
                answer = handshake.receive(await _read(reader))
            except CodecError:
                answer = Refused(Refusal.MALFORMED.name)
            await _write(writer, answer)
            if isinstance(answer, Refused):
                self._refuse(handshake.claimed_name, writer, Refusal[answer.reason])
            if isinstance(answer, Refused | Welcome):
                return

    def _refuse(self, who: str, writer: asyncio.StreamWriter, reason: str) -> None:
        self.refused += 1
        host = (writer.get_extra_info("peername") or ("unknown",))[0]
        key = (host, f"{who} {reason}")
        if reason == Refusal.ITSELF or key in self._logged or len(self._logged) >= _MOST_REMEMBERED:
            return
        self._logged.add(key)
        logger.warning("refused %s at %s: %s", who, host, reason)
        if len(self._logged) == _MOST_REMEMBERED:
            logger.warning("refused so many that from now on they are only counted")


async def knock(address: tuple[str, int], me: Identity, cookie: Secret, timeout_s: float) -> Identity:
    """Prove this node at another node's door and learn who lives there.

    Raises :class:`UnreachableError` when nobody answers in time, :class:`RefusedError` when the door refuses,
    :class:`HandshakeError` when what answers is not a node of this cluster.
    """
    host, port = address
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, limit=MOST_BYTES)
            try:
                return await _prove(reader, writer, DialerHandshake(me, cookie, secrets.token_bytes(NONCE_BYTES)))
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        message = f"nobody answered at {host}:{port} within {timeout_s} s"
        raise UnreachableError(message) from None
    except asyncio.IncompleteReadError:
        message = f"{host}:{port} hung up in the middle of the handshake"
        raise UnreachableError(message) from None
    except CodecError as error:
        message = f"what answers at {host}:{port} is not a node: {error}"
        raise HandshakeError(message) from None
    except (OSError, OverflowError, UnicodeError) as error:  # the last two: no such port, no such host name
        message = f"cannot reach {host}:{port}: {getattr(error, 'strerror', None) or error}"
        raise UnreachableError(message, connection_refused=isinstance(error, ConnectionRefusedError)) from None


async def _prove(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handshake: DialerHandshake) -> Identity:
    message: Message = handshake.hello()
    while True:
        await _write(writer, message)
        answer = handshake.receive(await _read(reader))
        if isinstance(answer, Identity):
            return answer
        message = answer


async def _read(reader: asyncio.StreamReader) -> Message:
    size = int.from_bytes(await reader.readexactly(2), "big")
    if size > MOST_BYTES:
        message = f"a handshake message of {size} bytes"
        raise CodecError(message)
    return decode(await reader.readexactly(size))


async def _write(writer: asyncio.StreamWriter, message: Message) -> None:
    writer.write(encode(message))
    await writer.drain()
