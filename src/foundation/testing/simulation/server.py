"""A listening port of a simulated host, as a server of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from foundation.testing.errors import NotSimulatedError
from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.streams import Address, SimulatedTransport


class ListeningSocket:
    """As much of a socket as tells where it listens."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        """Return host and port."""
        return self._address

    def fileno(self) -> int:
        """Refuse: there is no file descriptor."""
        message = "a simulated socket has no file descriptor"
        raise NotSimulatedError(message)


class SimulatedServer(asyncio.AbstractServer):
    """Accept connections at a port."""

    def __init__(
        self,
        loop: SimulatedLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        address: Address,
        backlog: int,
        closed: Callable[[SimulatedServer], None],
    ) -> None:
        self.loop = loop
        self.address = address
        self._factory = factory
        self._backlog = backlog
        self._closed = closed
        self._is_open = True
        self._waiting = 0
        self._connections: dict[SimulatedTransport, None] = {}
        self._idle: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Tell whether so many wait to be accepted that the kernel ignores who comes now."""
        return self._waiting >= self._backlog

    def admit(self, transport: SimulatedTransport) -> None:
        """Have the program accept a connection that its kernel has made already."""
        self._waiting += 1
        self.loop.call_soon(self._accept, transport)

    @property
    def sockets(self) -> tuple[ListeningSocket, ...]:
        """Where it listens."""
        return (ListeningSocket(self.address),) if self._is_open else ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop it belongs to."""
        return self.loop

    def is_serving(self) -> bool:
        """Tell whether it accepts connections."""
        return self._is_open

    async def start_serving(self) -> None:
        """Do nothing: it has begun."""

    async def serve_forever(self) -> None:
        """Wait until it is cancelled, and close."""
        self._forever = self.loop.create_future()
        try:
            await self._forever
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        """Accept nobody any more; connections stay."""
        if self._is_open:
            self._is_open = False
            self._closed(self)
            if self._forever is not None:
                self._forever.cancel()
            self._tell_if_idle()

    async def wait_closed(self) -> None:
        """Wait until it is closed and its connections have ended."""
        if self._is_open or self._connections:
            idle: asyncio.Future[None] = self.loop.create_future()
            self._idle.append(idle)
            await idle

    def close_clients(self) -> None:
        """Close the connections."""
        for transport in list(self._connections):
            transport.close()

    def abort_clients(self) -> None:
        """Close the connections at once."""
        for transport in list(self._connections):
            transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()
        await self.wait_closed()

    def ended(self, transport: SimulatedTransport) -> None:
        """Forget a connection."""
        self._connections.pop(transport, None)
        self._tell_if_idle()

    def _accept(self, transport: SimulatedTransport) -> None:
        self._waiting -= 1
        if not self._is_open:
            transport.abort()
            return
        try:
            protocol = self._factory()
        except Exception as error:  # noqa: BLE001 - reported as asyncio does
            self.loop.call_exception_handler({"message": "a connection could not be accepted", "exception": error})
            transport.abort()
            return
        self._connections[transport] = None
        self.loop.call_soon(transport.begin, protocol)

    def _tell_if_idle(self) -> None:
        if not self._is_open and not self._connections:
            idle, self._idle = self._idle, []
            for future in idle:
                if not future.done():
                    future.set_result(None)
