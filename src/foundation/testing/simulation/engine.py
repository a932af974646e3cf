"""Zenoh sessions of simulated hosts: the rules of the engine in memory, with the times and the cuts of the network.

What one session does reaches the others after the time that a packet takes, in order for each pair. While the way is
cut it waits, as TCP would have it. A session that hears nothing from another for the lease gives the link up and says
so, also when only one direction is cut, as Zenoh was seen to do. Sessions of a killed program end at once for those
that it can still reach; those of a paused one when the lease is over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from foundation.core.identity import NodeId
from foundation.errors import UnreachableError
from foundation.fabric.transport import SessionSettings, Undo
from foundation.fabric.transports.memory import MemoryNetwork, MemorySession, matches
from foundation.testing.errors import SimulationError
from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.wire import Wire

_ROUND_TRIPS = 4
"""Of packets until two sessions are linked: TCP, and Zenoh's four messages."""


class Transport:
    """Open sessions at simulated hosts; named by its path in :attr:`FabricOptions.transport`."""

    async def open(self, settings: SessionSettings, lost: Callable[[str], None]) -> MemorySession:
        """See the port."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            message = "the simulated transport is for simulated hosts"
            raise SimulationError(message)
        engine = loop.wires.engine
        assert isinstance(engine, Engine)  # noqa: S101 - of a simulated network
        return SimulatedSession(engine, loop, settings, lost)


class Engine(MemoryNetwork):
    """Where the sessions of one simulation meet."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self._scheduler = wire.scheduler
        self._arrivals: dict[tuple[str, str], float] = {}
        self._waiting: dict[tuple[str, str], deque[Callable[[], None]]] = {}
        self._silent: dict[tuple[NodeId, NodeId], int] = {}
        self._by_node: dict[NodeId, SimulatedSession] = {}

    def admit(self, session: MemorySession) -> str:
        """See the engine in memory."""
        assert isinstance(session, SimulatedSession)  # noqa: S101 - nothing else is opened here
        self._by_node[session.node] = session
        return super().admit(session)

    def session(self, node: NodeId) -> MemorySession | None:
        """See the engine in memory."""
        return self._by_node.get(node)

    def cut_number(self, one: NodeId, other: NodeId) -> int:
        """See the engine in memory; a way that is cut in one direction carries no link."""
        a, b = self._by_node[one].address, self._by_node[other].address
        return 0 if a == b or (self._wire.passes(a, b) and self._wire.passes(b, a)) else 1

    def carry(self, one: NodeId, other: NodeId, what: Callable[[], None]) -> None:
        """Do ``what`` at the other end once a packet is there; while the way is cut, once it is mended."""
        target = self._by_node[other]
        ends = (self._by_node[one].address, target.address)
        if target.is_closed:
            return  # nobody would take it, and it must not keep what is sent to the next program there waiting
        if ends[0] == ends[1]:
            what()
        elif ends in self._waiting or not self._wire.passes(*ends):
            self._waiting.setdefault(ends, deque()).append(what)
        else:
            self._send(ends, what)

    def drop_waiting(self, one: SimulatedSession, other: SimulatedSession) -> None:
        """Forget what waits between two sessions whose link is gone."""
        for ends in ((one.address, other.address), (other.address, one.address)):
            self._waiting.pop(ends, None)

    def round_trip_s(self, one: str, other: str) -> float:
        """Draw how long it takes to ask and to be answered."""
        return self._wire.travel_s(one, other) + self._wire.travel_s(other, one)

    def killed(self, address: str, *, silently: bool) -> None:
        """End the sessions of a program that was killed; silently, if its machine is gone too."""
        for session in [session for session in self._by_node.values() if session.address == address]:
            session.end(silently=silently)
        if silently:  # what waited in its kernel, or for it, is lost
            self._waiting = {ends: waiting for ends, waiting in self._waiting.items() if address not in ends}

    def ways_changed(self) -> None:
        """Begin to wait for the ends of leases, and let go what waited for a way that is mended."""
        for ends in [ends for ends in self._waiting if self._wire.passes(*ends)]:
            for what in self._waiting.pop(ends):
                self._send(ends, what)
        for session in list(self._by_node.values()):
            for other in list(session.linked.values()):
                self.listen(session, self._by_node[other.node])

    def listen(self, session: SimulatedSession, other: SimulatedSession) -> None:
        """Give up the link from ``other`` once it was silent for the lease."""
        key = (session.node, other.node)
        is_silent = other.is_closed or other.is_still or not self._wire.passes(other.address, session.address)
        if not is_silent:
            self._silent.pop(key, None)
        elif key not in self._silent:
            self._silent[key] = number = next(self._numbers)
            self._scheduler.later(session.settings.lease_s, self._lease_over, session, other, number)

    def _lease_over(self, session: SimulatedSession, other: SimulatedSession, number: int) -> None:
        key = (session.node, other.node)
        if self._silent.get(key) != number or session.is_closed:
            return
        if session.is_still:  # it looks at its clock when it goes on
            self._scheduler.later(session.settings.lease_s / 4, self._lease_over, session, other, number)
            return
        del self._silent[key]
        if session.linked.get(other.node) is other:
            session.give_up(other)

    def _send(self, ends: tuple[str, str], what: Callable[[], None]) -> None:
        arrival = max(self._scheduler.now + self._wire.travel_s(*ends), self._arrivals.get(ends, 0.0))
        self._arrivals[ends] = arrival
        self._scheduler.when(arrival, what)


class SimulatedSession(MemorySession):
    """One session at a simulated host."""

    def __init__(
        self, engine: Engine, loop: SimulatedLoop, settings: SessionSettings, lost: Callable[[str], None]
    ) -> None:
        self.address = loop.address
        self._home = loop
        self._engine = engine
        self._exact: dict[str, int] = {}
        self._wild: dict[int, str] = {}
        super().__init__(engine, settings, lost)

    @property
    def is_closed(self) -> bool:
        """Tell whether it has ended, in whatever way."""
        return self._closed

    @property
    def is_still(self) -> bool:
        """Tell whether its program is paused, and so says nothing."""
        return self._home.is_paused

    def put(self, key: str, payload: bytes) -> None:
        """See the port; only who subscribes is sent anything, as with Zenoh."""
        self._require_open()
        for session in (self, *self.linked.values()):
            assert isinstance(session, SimulatedSession)  # noqa: S101 - they know no others
            if session.wants(key):
                self._engine.carry(self.node, session.node, partial(session.take, self, key, payload))

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        undo = super().subscribe(expression, receive)
        if "*" in expression:
            number = len(self._wild)
            self._wild[number] = expression
            return lambda: (undo(), self._wild.pop(number, None), None)[2]
        self._exact[expression] = self._exact.get(expression, 0) + 1
        return undo

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """See the port. Gossip: the neighbors of both become neighbors of each other."""
        there = [self._engine.sessions[end] for end in endpoints if end in self._engine.sessions]
        other = next((session for session in there if session.node == node), None)
        message = f"no session at {', '.join(endpoints)} let this node in"
        if not isinstance(other, SimulatedSession) or not self._believes(other):
            await asyncio.sleep(0)
            raise UnreachableError(message)
        if self._engine.cut_number(self.node, node) or other.is_still:
            await asyncio.sleep(self.settings.introduction_timeout_s)
            raise UnreachableError(message)
        await asyncio.sleep(_ROUND_TRIPS * self._engine.round_trip_s(self.address, other.address))
        if self._closed or other.is_closed or self._engine.cut_number(self.node, node):
            raise UnreachableError(message)
        for one in (self, *self.linked.values()):
            for two in (other, *other.linked.values()):
                if one is not two and two.node not in one.linked:
                    one._link(two)  # noqa: SLF001 - of our own kind
                    two._link(one)  # noqa: SLF001

    def crash(self) -> None:
        """See the engine in memory."""
        self.end(silently=False)

    def end(self, *, silently: bool) -> None:
        """End; the others hear of it, or have to wait until the lease is over."""
        if self._closed:
            return
        self._closed = True
        self._engine.sessions.pop(self._endpoint, None)
        for other in list(self.linked.values()):
            assert isinstance(other, SimulatedSession)  # noqa: S101
            if not silently:
                self._engine.carry(self.node, other.node, partial(other.lose, self))
            self._engine.listen(other, self)
        self._subscribers.clear()
        self._watchers.clear()

    def wants(self, key: str) -> bool:
        """Tell whether anything here subscribes to a key."""
        return key in self._exact or any(matches(expression, key) for expression in self._wild.values())

    def take(self, sender: MemorySession, key: str, payload: bytes) -> None:
        """Take what another session has put."""
        self._message_arrived(sender, key, payload)

    def give_up(self, other: SimulatedSession) -> None:
        """End a link that is silent, and say so, as far as that gets there."""
        self.lose(other)
        self._engine.carry(self.node, other.node, partial(other.lose, self))

    def lose(self, other: SimulatedSession) -> None:
        """Take that a link is gone."""
        if self.linked.get(other.node) is other:
            self._unlink(other.node)
            self._engine.drop_waiting(self, other)

    def _link(self, other: MemorySession) -> None:
        assert isinstance(other, SimulatedSession)  # noqa: S101 - it knows no others
        if other.is_closed or other.node in self.linked or self._engine.cut_number(self.node, other.node):
            return  # gossip may name one whose end nobody has noticed yet
        self.linked[other.node] = other
        for number, token in list(other._tokens.items()):  # noqa: SLF001
            self._engine.carry(other.node, self.node, partial(self._token_appeared, other, number, token))
