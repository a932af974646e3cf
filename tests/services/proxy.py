"""A double that stands before a real server and makes its connections fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.services.server import LOOPBACK

Respond = Callable[[bytes], bytes | None]
MOST_BYTES = 65_536


class Proxy:
    """Passes bytes in both directions, unless it is told to spoil them."""

    def __init__(self, port: int) -> None:
        """Stand before the server at ``port`` of loopback."""
        self.port = 0
        self._server_port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._respond: Respond | None = None
        self._spoil: Callable[[bytes], bytes] | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    async def cut(self) -> None:
        """End all connections there are."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def respond(self, respond: Respond | None) -> None:
        """Give ``respond`` what a client sends; what it returns is sent back, and the server never sees the request."""
        self._respond = respond

    async def spoil(self, spoil: Callable[[bytes], bytes] | None) -> None:
        """End all connections; in new ones the first answer is spoiled, and then they end."""
        self._spoil = spoil
        await self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, writer)
        except asyncio.CancelledError:
            pass  # it ends because the test says so
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._server_port)
            try:
                async with asyncio.TaskGroup() as group:
                    there = group.create_task(self._to_server(reader, to_server, writer))
                    back = group.create_task(self._from_server(from_server, writer))
                    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                    there.cancel()
                    back.cancel()
            finally:
                to_server.transport.abort()

    async def _to_server(
        self, reader: asyncio.StreamReader, server: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while sent := await reader.read(MOST_BYTES):
                answer = self._respond(sent) if self._respond else None
                if answer is None:
                    server.write(sent)
                    await server.drain()
                else:
                    client.write(answer)
                    await client.drain()

    async def _from_server(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while answer := await server.read(MOST_BYTES):
                if self._spoil is not None:
                    client.write(self._spoil(answer))
                    await client.drain()
                    client.close()  # not aborted: what was written arrives
                    return
                client.write(answer)
                await client.drain()


def half(answer: bytes) -> bytes:
    """Cut off an answer in its middle."""
    return answer[: len(answer) // 2]


def garbage(answer: bytes) -> bytes:
    """Answer as long, with what no protocol says."""
    return bytes(byte ^ 0xA5 for byte in answer)
