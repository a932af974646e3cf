"""Raw asyncio over TCP, the floor: frames with a length before them, echoed, and no processes, types or deadlines.

What is written in one turn of the event loop goes out in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from benchmarks.calls.command_line import Ready, main
from benchmarks.calls.measuring import Plan, measure

_LENGTH = 4
_NUMBER = 8


class Link(asyncio.Protocol):
    """One connection; ``receive`` gets each frame and may return an answer."""

    def __init__(self, receive: Callable[[bytes], bytes | None]) -> None:
        self._receive = receive
        self._rest = b""
        self._waiting: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by name

    def data_received(self, data: bytes) -> None:
        """Cut the stream into frames."""
        stream = self._rest + data
        at, end = 0, len(stream)
        while end - at >= _LENGTH:
            body = at + _LENGTH
            following = body + int.from_bytes(stream[at:body], "big")
            if following > end:
                break
            answer = self._receive(stream[body:following])
            if answer is not None:
                self.send(answer)
            at = following
        self._rest = stream[at:]

    def send(self, frame: bytes) -> None:
        """Write a frame with whatever else is written in this turn."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting += (len(frame).to_bytes(_LENGTH, "big"), frame)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()


class Caller:
    """Numbers the calls on one connection and matches the answers."""

    def __init__(self, payload_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._payload_bytes = payload_bytes
        self.link = Link(self._answered)

    def echo(self, payload: bytes) -> asyncio.Future[bytes]:
        """Call; the number takes the place of the first bytes, so that the frame has the size of the payload."""
        self._last = number = self._last + 1
        self._pending[number] = answer = self._loop.create_future()
        self.link.send(number.to_bytes(_NUMBER, "big") + payload[_NUMBER:])
        return answer

    def _answered(self, frame: bytes) -> None:
        self._pending.pop(int.from_bytes(frame[:_NUMBER], "big")).set_result(b"x" * _NUMBER + frame[_NUMBER:])


async def serve(_plan: Plan, ready: Ready) -> None:
    """Echo."""
    server = await asyncio.get_running_loop().create_server(lambda: Link(lambda frame: frame), "127.0.0.1", 0)
    async with server:
        await ready(str(server.sockets[0].getsockname()[1]))


async def call(plan: Plan, address: str) -> dict[str, Any]:
    """Call over one connection."""
    caller = Caller(plan.payload_bytes)
    await asyncio.get_running_loop().create_connection(lambda: caller.link, "127.0.0.1", int(address))
    return await measure([caller] * plan.targets, plan)


if __name__ == "__main__":
    main(serve, call)
