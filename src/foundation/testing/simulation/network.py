"""The network between simulated hosts, and what a story does to it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import TypeVar

from foundation.errors import NotSimulatedError
from foundation.testing.simulation.links import NetworkOptions
from foundation.testing.simulation.loop import AddressInfo, SimulatedLoop
from foundation.testing.simulation.scheduler import Scheduler
from foundation.testing.simulation.transcript import Transcript

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


class SimulatedNetwork:
    """Joins the hosts of a simulation."""

    def __init__(self, scheduler: Scheduler, transcript: Transcript, options: NetworkOptions) -> None:
        self._scheduler = scheduler
        self._transcript = transcript
        self._options = options
        self._loops: dict[str, SimulatedLoop] = {}

    def plug(self, loop: SimulatedLoop) -> None:
        """Make the program of a host part of the network."""
        self._loops[loop.address] = loop

    def unplug(self, loop: SimulatedLoop, *, silently: bool) -> None:
        """Take a program that was killed off the network."""
        del loop, silently

    async def connect(
        self, loop: SimulatedLoop, factory: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        message = "connections"
        raise NotSimulatedError(message, loop, factory, host, port)

    def listen(
        self, loop: SimulatedLoop, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, backlog: int
    ) -> asyncio.Server:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        message = "connections"
        raise NotSimulatedError(message, loop, factory, host, port, backlog)

    def look_up(self, loop: SimulatedLoop, host: str | None, port: int, kind: int) -> list[AddressInfo]:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        address = loop.address if host is None else str(ipaddress.ip_address(host))
        return [(socket.AF_INET, kind or socket.SOCK_STREAM, 0, "", (address, port))]
