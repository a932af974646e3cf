"""How a simulated connection comes about: who asks, who answers, and how long one asks before one gives up."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.pipe import Pipe
from foundation.testing.simulation.server import SimulatedServer
from foundation.testing.simulation.streams import Address, SimulatedTransport
from foundation.testing.simulation.turns import Timer
from foundation.testing.simulation.wire import Wire, cancel


class Attempt:
    """One attempt to connect. The kernels do it: a paused program at the other end does not keep it from succeeding."""

    def __init__(
        self,
        wire: Wire,
        loop: SimulatedLoop,
        ends: tuple[Address, Address],
        servers: Callable[[], SimulatedServer | None],
        opened: Callable[[SimulatedTransport, SimulatedServer | None], None],
    ) -> None:
        """``ends`` are the own one and the other; ``servers`` finds who listens there when the request arrives."""
        self.answer: asyncio.Future[SimulatedTransport] = loop.create_future()
        self._wire = wire
        self._loop = loop
        self._own, self._peer = ends
        self._there = self._peer[0] if self._own[0] != "127.0.0.1" else loop.address
        self._servers = servers
        self._opened = opened
        self._name = f"{wire.names.get(loop.address)}:{self._own[1]} > {wire.names.get(self._there)}:{self._peer[1]}"
        self._transport: SimulatedTransport | None = None
        self._tries = 0
        self._retry: Timer | None = None
        wire.note(loop.address, f"{self._name} connecting")
        self._ask()

    def abandon(self) -> None:
        """Give up; what was opened meanwhile is reset."""
        cancel(self._retry)
        if self._transport is not None:
            self._transport.abort()
        if not self.answer.done():
            self.answer.cancel()

    def _ask(self) -> None:
        if self._loop.is_killed:
            return
        if self._tries > self._wire.options.connect_retries:
            self._fail(TimeoutError, errno.ETIMEDOUT)
            return
        self._retry = self._wire.scheduler.later(2.0**self._tries, self._ask)
        self._tries += 1
        if self._wire.passes(self._loop.address, self._there):
            seconds = self._wire.travel_s(self._loop.address, self._there)
            self._wire.scheduler.later(seconds, self._asked)

    def _asked(self) -> None:
        """The request is at the other host."""
        if self._there not in self._wire.names or self.answer.done() or self._loop.is_killed:
            return
        if self._transport is None:
            server = self._servers()
            if server is None:
                self._reply(self._fail, ConnectionRefusedError, errno.ECONNREFUSED)
                return
            if server.is_full:
                return
            self._transport = self._open(server)
        self._reply(self._established)

    def _reply(self, callback: Callable[..., None], *args: object) -> None:
        if self._wire.passes(self._there, self._loop.address):
            seconds = self._wire.travel_s(self._there, self._loop.address)
            self._wire.scheduler.later(seconds, callback, *args)

    def _open(self, server: SimulatedServer) -> SimulatedTransport:
        here, there = self._loop.address, self._there
        forth = Pipe(self._wire, here, there, self._name)
        back = Pipe(self._wire, there, here, f"{self._name} (back)")
        mine = SimulatedTransport(self._loop, self._wire, (forth, back), self._own, self._peer)
        theirs = SimulatedTransport(server.loop, self._wire, (back, forth), self._peer, self._own)
        self._opened(mine, None)
        self._opened(theirs, server)
        server.admit(theirs)
        return mine

    def _established(self) -> None:
        if not self.answer.done() and self._transport is not None:
            cancel(self._retry)
            self._wire.note(self._loop.address, f"{self._name} connected")
            self.answer.set_result(self._transport)

    def _fail(self, kind: type[OSError], number: int) -> None:
        if not self.answer.done():
            cancel(self._retry)
            self._wire.note(self._loop.address, f"{self._name} failed: {os.strerror(number)}")
            self.answer.set_exception(kind(number, f"Connect call failed {self._peer}"))
