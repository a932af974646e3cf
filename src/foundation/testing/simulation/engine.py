"""Zenoh sessions of simulated hosts: the rules of the engine in memory, with the times and the cuts of the network.

What one session does reaches the others after the time that a packet takes, in order for each pair. While the way is
cut it waits, and when the way is mended it waits on until TCP tries again, which can cost the link when that is later
than the end of the lease. A session that hears nothing from another for the lease gives the link up and says so, also
when only one direction is cut. Sessions of a killed program end at once for those that it can still reach; those of a
paused one when the lease is over. All of this Zenoh was seen to do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from foundation.core.identity import NodeId
from foundation.errors import UnreachableError
from foundation.fabric.transport import SessionSettings, Undo
from foundation.fabric.transports.memory import MemoryNetwork, MemorySession, matches
from foundation.testing.errors import SimulationError
from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.wire import Wire

K = TypeVar("K")

_ROUND_TRIPS = 4
"""Of packets until two sessions are linked: TCP, and Zenoh's four messages."""
_PROMPT = 0.5
_MEAN_LAG_S = 0.000_3
"""How often the news of a token comes at once, and by how much it is late on average when it does not."""


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
        self._chance = wire.scheduler.chance("engine")
        self._arrivals: dict[tuple[str, str], float] = {}
        self._stalled: dict[tuple[NodeId, NodeId], float] = {}
        """Since when nothing gets from one session to another, because packets were lost."""
        self._waiting: dict[tuple[NodeId, NodeId], deque[Callable[[], None]]] = {}
        self._packets: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._packed_at = -1.0
        self._silent: dict[tuple[NodeId, NodeId], int] = {}
        self.has_gaps = False
        """Whether two sessions that know of each other may be without a link."""
        self._by_node: dict[NodeId, SimulatedSession] = {}
        self._exact: dict[str, dict[SimulatedSession, int]] = {}
        self._wild: dict[tuple[SimulatedSession, str], int] = {}

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
        """Do ``what`` at the other end once a packet is there; while the way is cut, once that was sent again."""
        target = self._by_node[other]
        ends = (self._by_node[one].address, target.address)
        if target.is_closed:
            return  # nobody would take it
        if ends[0] == ends[1]:
            what()
        elif (one, other) in self._stalled or not self._wire.passes(*ends):
            self._stalled.setdefault((one, other), self._scheduler.now)
            self._waiting.setdefault((one, other), deque()).append(what)
        else:
            self._send(ends, what)

    def forget(self, one: SimulatedSession, other: SimulatedSession) -> None:
        """Forget what waits between two sessions: their connection is gone, or there is a new one."""
        for pair in ((one.node, other.node), (other.node, one.node)):
            self._waiting.pop(pair, None)
            self._stalled.pop(pair, None)

    def next_number(self) -> int:
        """Return a number for a new link."""
        return next(self._numbers)

    def lag_s(self) -> float:
        """Draw by how much the news of a token is late: Zenoh has a thread for each subscription."""
        return 0.0 if self._chance.random() < _PROMPT else self._chance.expovariate(1 / _MEAN_LAG_S)

    def subscribed(self, session: SimulatedSession, expression: str, count: int) -> None:
        """Take that a session subscribes to something, or (-1) does so no longer."""
        if "*" in expression:
            _count(self._wild, (session, expression), count)
            return
        _count(self._exact.setdefault(expression, {}), session, count)
        if not self._exact[expression]:
            del self._exact[expression]

    def interested(self, key: str) -> list[SimulatedSession]:
        """Return the sessions that subscribe to a key; few do, so nobody goes through all that are linked."""
        wild = (session for session, expression in self._wild if matches(expression, key))
        return list(dict.fromkeys((*self._exact.get(key, ()), *wild)))

    def round_trip_s(self, one: str, other: str) -> float:
        """Draw how long it takes to ask and to be answered."""
        return self._wire.travel_s(one, other) + self._wire.travel_s(other, one)

    def killed(self, address: str, *, silently: bool) -> None:
        """End the sessions of a program that was killed; silently, if its machine is gone too."""
        for session in [session for session in self._by_node.values() if session.address == address]:
            session.end(silently=silently)
            if silently:  # what waited in its kernel is lost
                for pair in [pair for pair in self._stalled if pair[0] == session.node]:
                    del self._stalled[pair]
                    self._waiting.pop(pair, None)

    def ways_changed(self) -> None:
        """Begin to wait for the ends of leases, and let TCP try again where a way is mended.

        TCP tries again after 0.2 s, 0.4 s and so on, so a way that was cut for long stays silent for up to as long.
        """
        now = self._scheduler.now
        open_sessions = [session for session in self._by_node.values() if not session.is_closed]
        for one, other in [(session, other) for session in open_sessions for other in session.neighbors()]:
            if not self._wire.passes(other.address, one.address):
                self._stalled.setdefault((other.node, one.node), now)
            self.listen(one, other)
        for pair, since in list(self._stalled.items()):
            if self._passes(pair):
                self._scheduler.later(self._chance.uniform(0, now - since), self._send_again, pair, since)

    def listen(self, session: SimulatedSession, other: SimulatedSession) -> None:
        """Give up the link from ``other`` once it was silent for the lease."""
        key = (session.node, other.node)
        is_silent = other.is_closed or other.is_still or (other.node, session.node) in self._stalled
        if not is_silent:
            self._silent.pop(key, None)
        elif key not in self._silent:
            self._silent[key] = number = next(self._numbers)
            self._scheduler.later(session.settings.lease_s, self._lease_over, session, other, number)

    def _passes(self, pair: tuple[NodeId, NodeId]) -> bool:
        return self._wire.passes(self._by_node[pair[0]].address, self._by_node[pair[1]].address)

    def _send_again(self, pair: tuple[NodeId, NodeId], since: float) -> None:
        if self._stalled.get(pair) == since and self._passes(pair):
            del self._stalled[pair]
            for what in self._waiting.pop(pair, ()):
                self.carry(*pair, what)
            self.listen(self._by_node[pair[1]], self._by_node[pair[0]])

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
        """Send it with what else sets out at this moment: one packet, as Zenoh makes of what is said in one breath."""
        now = self._scheduler.now
        if now != self._packed_at:
            self._packed_at = now
            self._packets.clear()
        if (packet := self._packets.get(ends)) is not None:
            packet.append(what)
            return
        self._packets[ends] = packet = [what]
        arrival = max(now + self._wire.travel_s(*ends), self._arrivals.get(ends, 0.0))
        self._arrivals[ends] = arrival
        self._scheduler.when(arrival, self._unpack, ends, packet)

    def _unpack(self, ends: tuple[str, str], packet: list[Callable[[], None]]) -> None:
        if self._packets.get(ends) is packet:  # on a way that takes no time
            del self._packets[ends]
        for act in packet:
            act()


class SimulatedSession(MemorySession):
    """One session at a simulated host."""

    def __init__(
        self, engine: Engine, loop: SimulatedLoop, settings: SessionSettings, lost: Callable[[str], None]
    ) -> None:
        self.address = loop.address
        self._home = loop
        self._engine = engine
        self._inbox: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._links: dict[NodeId, int] = {}
        self._told_until = 0.0
        self._tells_later = False
        self._news: deque[tuple[float, int, str, bool]] = deque()
        """Tokens that came and went, when watchers are to hear of it, and which."""
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
        for session in self._engine.interested(key):
            if session is self or self.linked.get(session.node) is session:
                self._engine.carry(self.node, session.node, partial(session.take, self, key, payload))

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        withdraw = super().subscribe(expression, receive)
        self._engine.subscribed(self, expression, 1)
        is_over = False

        def undo() -> None:
            nonlocal is_over
            if not is_over and not self._closed:
                self._engine.subscribed(self, expression, -1)
            is_over = True
            withdraw()

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
        if self.linked.get(node) is other and other.linked.get(self.node) is self:
            return  # nobody has any news to tell
        ones, others = [self, *self.neighbors()], [other, *other.neighbors()]
        if self._engine.has_gaps:  # then everybody hears of somebody new, and dials whom they lack
            ones = others = list(dict.fromkeys((*self._circle(), *other._circle())))  # noqa: SLF001
        for one, two in itertools.product(ones, others):
            if one is not two:
                one._meet(two)  # noqa: SLF001 - of our own kind

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
                self._engine.carry(self.node, other.node, partial(other.lose, self, self._links[other.node]))
            self._engine.listen(other, self)
        for expression, _ in self._subscribers.values():
            self._engine.subscribed(self, expression, -1)
        self._subscribers.clear()
        self._watchers.clear()

    def take(self, sender: MemorySession, key: str, payload: bytes) -> None:
        """Take what another session has put."""
        self._message_arrived(sender, key, payload)

    def neighbors(self) -> list[SimulatedSession]:
        """Return those with whom it has a link, as far as it knows."""
        return [session for session in self.linked.values() if isinstance(session, SimulatedSession)]

    def give_up(self, other: SimulatedSession) -> None:
        """End a link that is silent, and say so, as far as that gets there."""
        self._engine.has_gaps = True
        number = self._links[other.node]
        self.lose(other, number)
        self._engine.carry(self.node, other.node, partial(other.lose, self, number))

    def lose(self, other: SimulatedSession, number: int) -> None:
        """Take that a link is gone, unless there is another one by now."""
        if self._links.get(other.node) == number:
            del self._links[other.node]
            self._unlink(other.node)
            self._engine.forget(self, other)

    def _circle(self) -> list[SimulatedSession]:
        """Return whom gossip reaches from here, neighbor by neighbor."""
        everybody: list[SimulatedSession] = [self]
        found: set[SimulatedSession] = {self}
        for session in everybody:  # it grows meanwhile
            new = [other for other in session.neighbors() if other not in found]
            found.update(new)
            everybody.extend(new)
        return everybody

    def _meet(self, other: SimulatedSession) -> None:
        """Make a new link, unless there is one or none is possible."""
        if self.linked.get(other.node) is other and other.linked.get(self.node) is self:
            return
        if any(one.is_closed or one.is_still for one in (self, other)) or self._engine.cut_number(
            self.node, other.node
        ):
            return
        for one, two in ((self, other), (other, self)):
            if one.linked.get(two.node) is two:  # what only one of them knows of ends, with all that was told over it
                one.lose(two, one._links[two.node])  # noqa: SLF001 - of our own kind
        self._engine.forget(self, other)
        self._links[other.node] = other._links[self.node] = self._engine.next_number()
        self._link(other)
        other._link(self)

    def _soon(self, act: Callable[..., None], *args: object) -> None:
        """What has come until the node has its turn is handled in one, as what Zenoh's threads take in."""
        self._inbox.append((act, args))
        if len(self._inbox) == 1:
            self._home.call_soon(self._take_in)

    def _take_in(self) -> None:
        inbox, self._inbox = self._inbox, []
        for act, args in inbox:
            act(*args)

    def _link(self, other: MemorySession) -> None:
        if other.node in self.linked:
            return
        self.linked[other.node] = other
        for number, token in list(other._tokens.items()):  # noqa: SLF001
            self._engine.carry(other.node, self.node, partial(self._token_appeared, other, number, token))

    def _tell_watchers(self, sender: MemorySession, token: str, *, is_there: bool) -> None:
        """See the engine in memory; messages may overtake it, as each subscription is a thread of Zenoh."""
        if sender.settings.namespace != self.settings.namespace:
            return
        now, lag_s = self._home.time(), self._engine.lag_s()
        self._told_until = due = max(self._told_until, now + lag_s)
        for number, (expression, _) in self._watchers.items():
            if matches(expression, token):
                self._news.append((due, number, token, is_there))
        if due <= now:
            self._soon(self._tell_news)
        elif self._news and not self._tells_later:
            self._tells_later = True
            self._home.call_at(self._news[0][0], self._tell_later)

    def _tell_later(self) -> None:
        self._tell_news()
        self._tells_later = bool(self._news)
        if self._news:
            self._home.call_at(self._news[0][0], self._tell_later)

    def _tell_news(self) -> None:
        """Tell what is due, in order: a node that stood still finds more than one at once."""
        now = self._home.time()
        while self._news and self._news[0][0] <= now:
            _, number, token, is_there = self._news.popleft()
            self._notify(number, token, is_there)


def _count(counts: dict[K, int], key: K, more: int) -> None:
    """Add to a count; what is counted to nothing is forgotten."""
    counts[key] = counts.get(key, 0) + more
    if not counts[key]:
        del counts[key]
