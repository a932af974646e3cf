"""The network between simulated hosts, and what a story does to it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, cast

from foundation.testing.errors import SimulationError
from foundation.testing.simulation.connecting import Attempt
from foundation.testing.simulation.engine import Engine
from foundation.testing.simulation.links import Latency, NetworkOptions, Way
from foundation.testing.simulation.loop import AddressInfo, SimulatedLoop
from foundation.testing.simulation.scheduler import Scheduler
from foundation.testing.simulation.server import SimulatedServer
from foundation.testing.simulation.streams import SimulatedTransport
from foundation.testing.simulation.transcript import Transcript
from foundation.testing.simulation.wire import Wire

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

_LOOPBACK = "127.0.0.1"
_ANY = ("", "0.0.0.0", "::")  # noqa: S104 - of a simulated host
_FIRST_FREE_PORT = 49_152


class HasAddress(Protocol):
    """A host of the simulation."""

    @property
    def address(self) -> str:
        """Where it is."""
        ...


Hosts = str | HasAddress | Iterable[str | HasAddress]
"""A host, its name or its address; or several of these."""


class SimulatedNetwork:
    """TCP between the hosts of a simulation; its verbs are for the story.

    What they change holds for packets that set out from then on. Each takes two hosts or sets of hosts and concerns
    every pair of one from the first and one from the second, in both directions unless it says otherwise.
    """

    def __init__(self, scheduler: Scheduler, transcript: Transcript, options: NetworkOptions) -> None:
        self._wire = Wire(scheduler, transcript, options)
        self.engine = Engine(self._wire)
        """Where the Zenoh sessions of the hosts meet."""
        self._addresses: dict[str, str] = {}
        self._servers: dict[tuple[str, int], SimulatedServer] = {}
        self._transports: dict[SimulatedTransport, None] = {}
        self._ports: dict[str, Iterator[int]] = {}

    # --- what a story does -----------------------------------------------------------------------------------

    def partition(self, one: Hosts, other: Hosts) -> None:
        """Cut the ways between: packets are lost, connections stall, and go on if it heals before they give up."""
        self._change("cut", one, other, lambda way: setattr(way, "is_cut", True))

    def partition_oneway(self, source: Hosts, target: Hosts) -> None:
        """Cut the ways from the first to the second; what comes back the other way arrives, acknowledged or not."""
        self._change("cut one way", source, target, lambda way: setattr(way, "is_cut", True), both_ways=False)

    def heal(self, one: Hosts | None = None, other: Hosts | None = None) -> None:
        """Mend the ways between, or all. Connections notice at their next retry, which can take two minutes."""
        self._change("healed", one, other, lambda way: setattr(way, "is_cut", False))

    def hold(self, one: Hosts, other: Hosts) -> None:
        """Keep what sets out between, until it is released."""
        self._change("held", one, other, lambda way: setattr(way, "is_held", True))

    def release(self, one: Hosts | None = None, other: Hosts | None = None) -> None:
        """Let go what was held between, or everywhere; it sets out now."""
        self._change("released", one, other, lambda way: setattr(way, "is_held", False))
        for pipe in list(self._wire.stalled):
            pipe.flush()

    def delay(self, one: Hosts, other: Hosts, extra_s: float) -> None:
        """Have packets between take so many seconds more; 0 takes that back."""
        self._change(f"delayed by {extra_s} s", one, other, lambda way: setattr(way, "extra_s", extra_s))

    def drop(self, one: Hosts, other: Hosts, rate: float) -> None:
        """Lose a part of the packets between, 0 to 0.99: TCP sends them again, so that costs time and no bytes."""
        if not 0 <= rate < 1:
            message = f"a rate of {rate} cannot be lost; to lose everything is a partition"
            raise SimulationError(message)
        self._change(f"loses {rate:.0%}", one, other, lambda way: setattr(way, "drop_rate", rate))

    def set_latency(self, one: Hosts, other: Hosts, latency: Latency) -> None:
        """Say how long packets between take."""
        self._change(f"latency {latency}", one, other, lambda way: setattr(way, "latency", latency))

    def _change(
        self,
        what: str,
        one: Hosts | None,
        other: Hosts | None,
        change: Callable[[Way], None],
        *,
        both_ways: bool = True,
    ) -> None:
        if one is None or other is None:
            ways = self._wire.ways()
            where = "everywhere"
        else:
            sources, targets = self._all(one), self._all(other)
            pairs = [pair for pair in itertools.product(sources, targets) if pair[0] != pair[1]]
            pairs += [(target, source) for source, target in pairs] if both_ways else []
            ways = [self._wire.way(*pair) for pair in pairs]
            where = " | ".join(" ".join(self._wire.names[name] for name in names) for names in (sources, targets))
        for way in ways:
            change(way)
        self._wire.note("network", f"{what}: {where}")
        self.engine.ways_changed()

    def _all(self, hosts: Hosts) -> list[str]:
        if isinstance(hosts, str) or not isinstance(hosts, Iterable):
            hosts = [hosts]
        names = [host if isinstance(host, str) else host.address for host in hosts]
        addresses = [self._addresses.get(name, name) for name in names]
        for address in addresses:
            if address not in self._wire.names:
                message = f"no host of the simulation is called {address!r}: {', '.join(self._addresses)}"
                raise SimulationError(message)
        return addresses

    # --- what hosts and loops need ---------------------------------------------------------------------------

    def plug(self, loop: SimulatedLoop) -> None:
        """Make the program of a host part of the network."""
        if self._wire.names.setdefault(loop.address, loop.name) != loop.name:
            message = f"{loop.address} belongs to {self._wire.names[loop.address]} already"
            raise SimulationError(message)
        self._addresses[loop.name] = loop.address
        self._wire.down.discard(loop.address)

    def unplug(self, loop: SimulatedLoop, *, silently: bool) -> None:
        """Take a program that was killed off the network; silently, if its machine is gone too."""
        if silently:
            self._wire.down.add(loop.address)
        self.engine.killed(loop.address, silently=silently)
        self._servers = {key: server for key, server in self._servers.items() if server.loop is not loop}
        for transport in [transport for transport in self._transports if transport.loop is loop]:
            del self._transports[transport]
            transport.vanish(silently=silently)

    async def connect(
        self, loop: SimulatedLoop, factory: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        is_inside = (address := self._resolve(loop, host)) == _LOOPBACK
        there = loop.address if is_inside else address
        own = _LOOPBACK if is_inside else loop.address

        def find() -> SimulatedServer | None:
            server = self._servers.get((there, port))
            is_for_all = server is not None and server.address[0] != _LOOPBACK
            return server if is_inside or is_for_all else None

        attempt = Attempt(self._wire, loop, ((own, self._free_port(loop)), (address, port)), find, self._opened)
        try:
            transport = await attempt.answer
            begun: asyncio.Future[None] = loop.create_future()
            protocol = factory()
            loop.call_soon(transport.begin, protocol, begun)
            await begun
        except BaseException:
            attempt.abandon()
            raise
        return transport, protocol

    def listen(
        self, loop: SimulatedLoop, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, backlog: int
    ) -> asyncio.Server:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        bound = _ANY[1] if host in _ANY else self._resolve(loop, host)
        if bound not in (_ANY[1], _LOOPBACK, loop.address):
            raise _failed(errno.EADDRNOTAVAIL, host, port)
        port = port or self._free_port(loop)
        if (loop.address, port) in self._servers:
            raise _failed(errno.EADDRINUSE, host, port)
        server = SimulatedServer(loop, factory, (bound, port), backlog, self._closed)
        self._servers[loop.address, port] = server
        self._wire.note(loop.address, f"listens at {bound}:{port}")
        return cast("asyncio.Server", server)

    def look_up(self, loop: SimulatedLoop, host: str | None, port: int, kind: int) -> list[AddressInfo]:
        """See :class:`foundation.testing.simulation.loop.Wires`."""
        return [(socket.AF_INET, kind or socket.SOCK_STREAM, 6, "", (self._resolve(loop, host or _LOOPBACK), port))]

    def _resolve(self, loop: SimulatedLoop, host: str) -> str:
        if host in ("localhost", ""):
            return _LOOPBACK
        if host == loop.name:
            return loop.address
        if host in self._addresses:
            return self._addresses[host]
        if host in self._wire.names:  # the address of a host, as most are
            return host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            message = f"{host!r} is neither an address nor a host of the simulation: {', '.join(self._addresses)}"
            raise socket.gaierror(socket.EAI_NONAME, message) from None
        return _LOOPBACK if address.is_loopback else str(address)

    def _free_port(self, loop: SimulatedLoop) -> int:
        ports = self._ports.setdefault(loop.address, itertools.count(_FIRST_FREE_PORT))
        return next(port for port in ports if (loop.address, port) not in self._servers)

    def _opened(self, transport: SimulatedTransport, server: SimulatedServer | None) -> None:
        self._transports[transport] = None

        def ended(transport: SimulatedTransport) -> None:
            self._transports.pop(transport, None)
            if server is not None:
                server.ended(transport)

        transport.ended = ended

    def _closed(self, server: SimulatedServer) -> None:
        key = (server.loop.address, server.address[1])
        if self._servers.get(key) is server:
            del self._servers[key]


def _failed(number: int, host: str, port: int) -> OSError:
    return OSError(number, f"error while attempting to bind on address {(host, port)}: {os.strerror(number).lower()}")
