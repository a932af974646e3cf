"""One end of a simulated TCP connection, as a transport of asyncio."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.pipe import Kind, Pipe, Segment
from foundation.testing.simulation.wire import Wire

Address = tuple[str, int]

_HIGH_WATER = 64 << 10
_MOST_READ_BYTES = 256 << 10
_CUT_SHORT = 1 / 8
"""How many segments are shorter than they could be, so that readers do not rely on where messages are cut."""


class SimulatedTransport(asyncio.Transport):
    """One end of a connection: what the program wrote and the kernel has not yet taken, and the kernel's inbox."""

    def __init__(self, loop: SimulatedLoop, wire: Wire, pipes: tuple[Pipe, Pipe], own: Address, peer: Address) -> None:
        """``pipes`` are the one that leads away and the one that leads here."""
        super().__init__({"sockname": own, "peername": peer, "socket": None})
        self.loop = loop
        self.ended: Callable[[SimulatedTransport], None] = lambda _: None
        self._wire = wire
        self._outgoing, self._incoming = pipes
        self._outgoing.has_room = self._room_again
        self._outgoing.failed = self._break
        self._incoming.arrived = self._arrived
        self._protocol: asyncio.BaseProtocol = asyncio.Protocol()
        self._unsent = bytearray()
        self._inbox: deque[bytes] = deque()  # b"" is the end
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        self._is_reading = False
        self._reads_soon = False
        self._is_writer_paused = False
        self._is_closing = False
        self._ends_writing = False
        self._said_end = False
        self._is_gone = False
        self._has_begun = False
        self._broken: OSError | None = None  # before it began

    def begin(self, protocol: asyncio.BaseProtocol, begun: asyncio.Future[None] | None = None) -> None:
        """Hand the connection to a program."""
        self._protocol = protocol
        self._has_begun = True
        self._guard(protocol.connection_made, self)
        if self._broken is not None:
            self._break(self._broken)
        if not self._is_closing:
            self.resume_reading()
        if begun is not None and not begun.done():
            begun.set_result(None)

    def vanish(self, *, silently: bool) -> None:
        """Be gone with the program, which is not told; the other side is, unless the whole machine is gone."""
        self._is_gone = self._is_closing = True
        if silently:
            self._outgoing.stop()
        else:
            self._outgoing.reset()

    # --- reading ---------------------------------------------------------------------------------------------

    def is_reading(self) -> bool:
        """Tell whether the protocol is given what arrives."""
        return self._is_reading and not self._is_closing

    def pause_reading(self) -> None:
        """Give the protocol nothing; the window fills and the other side stops."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """Give the protocol what has arrived and what arrives."""
        self._is_reading = True
        self._wake()

    def _arrived(self, segment: Segment) -> None:
        if self._is_gone:
            if segment.kind is Kind.DATA:  # nobody has such a connection here
                self._outgoing.reset()
        elif segment.kind is Kind.RESET:
            self._outgoing.stop()
            self._break(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        else:
            self._inbox.append(segment.data)
            self._wake()

    def _wake(self) -> None:
        if self._inbox and self.is_reading() and not self._reads_soon:
            self._reads_soon = True
            self.loop.call_soon(self._read)

    def _read(self) -> None:
        self._reads_soon = False
        if not self.is_reading():
            return
        if not self._inbox[0]:
            self._inbox.clear()
            self._is_reading = False
            if not self._guard(self._receiver.eof_received):
                self.close()
            return
        chunks: list[bytes] = []
        size = 0
        while self._inbox and self._inbox[0] and size < _MOST_READ_BYTES:
            chunks.append(self._inbox.popleft())
            size += len(chunks[-1])
        self._incoming.read(size)
        self._guard(self._give, b"".join(chunks))
        self._wake()

    @property
    def _receiver(self) -> Any:  # noqa: ANN401 - a protocol of whichever kind
        return self._protocol

    def _give(self, data: bytes) -> None:
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            self._receiver.data_received(data)
            return
        while data and not self._is_gone:
            buffer = memoryview(self._protocol.get_buffer(len(data)))
            size = min(len(data), len(buffer))
            buffer[:size] = data[:size]
            self._protocol.buffer_updated(size)
            data = data[size:]

    # --- writing ---------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send bytes; what the window has no room for waits here."""
        if self._ends_writing:
            message = "cannot write after write_eof()"
            raise RuntimeError(message)
        if self._is_closing or not data:
            return
        self._unsent += data
        self._pump()
        if len(self._unsent) > self._high and not self._is_writer_paused:
            self._is_writer_paused = True
            self._guard(self._protocol.pause_writing)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send several."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """Say that no more comes, after all that was written."""
        if not self._ends_writing and not self._is_closing:
            self._ends_writing = True
            self._pump()

    def can_write_eof(self) -> bool:
        """Tell that one direction can be closed alone."""
        return True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set above how many waiting bytes the protocol is paused, and down to how many it stays so."""
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            message = f"high ({high!r}) must be >= low ({low!r}) must be >= 0"
            raise ValueError(message)
        self._high, self._low = high, low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high limit."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait here."""
        return len(self._unsent)

    def _room_again(self) -> None:
        if self._unsent and not self._is_gone:
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._pump()
        if self._is_writer_paused and len(self._unsent) <= self._low and not self._is_gone:
            self._is_writer_paused = False
            self._guard(self._protocol.resume_writing)
        if self._is_closing and not self._unsent:
            self._lose(None)

    def _pump(self) -> None:
        while self._unsent and self._outgoing.room and not self._is_gone:
            size = min(len(self._unsent), self._outgoing.room, self._wire.options.segment_bytes)
            if size > 1 and self._wire.chance.random() < _CUT_SHORT:
                size = self._wire.chance.randrange(1, size)
            data = bytes(self._unsent[:size])
            del self._unsent[:size]
            self._outgoing.send(data)
        if self._ends_writing and not self._unsent:
            self._say_end()

    def _say_end(self) -> None:
        if not self._said_end:
            self._said_end = True
            self._outgoing.finish()

    # --- ending ------------------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Tell whether it is closed or about to be."""
        return self._is_closing

    def close(self) -> None:
        """Close once what was written is sent."""
        if not self._is_closing:
            self._is_closing = True
            if not self._unsent:
                self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close at once, and have the other side notice."""
        if not self._is_gone:
            self._is_closing = self._said_end = True
            self._unsent.clear()
            self._outgoing.reset()
            self.loop.call_soon(self._lose, None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return whose connection it is."""
        return self._protocol

    def _break(self, error: OSError) -> None:
        if not self._has_begun:
            self._broken = error
        elif not self._is_gone:
            self.loop.call_soon(self._lose, error)

    def _lose(self, error: OSError | None) -> None:
        if self._is_gone:
            return
        self._is_gone = self._is_closing = True
        if error is not None:
            self._outgoing.stop()
        elif any(self._inbox) and not self._said_end:
            self._outgoing.reset()  # as TCP does when a program closes and leaves something unread
        else:
            self._say_end()
        self._unsent.clear()
        self._inbox.clear()
        self._guard(self._protocol.connection_lost, error)
        self.ended(self)

    def _guard(self, callback: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - what the protocol returns
        try:
            return callback(*args)
        except Exception as error:  # noqa: BLE001 - reported as asyncio does
            context = {
                "message": "a protocol failed",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
            self.loop.call_exception_handler(context)
            self.abort()
            return None
