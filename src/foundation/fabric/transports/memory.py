"""An engine in memory: the nodes of one program, wired to each other, with links that a test can cut.

It follows what Zenoh was seen to do: links only after an introduction and gossip among neighbors, tokens that vanish at
once when a session dies and after the lease when a link is cut, nothing relayed between peers. What is sent into a cut
arrives when the cut is mended before the lease is over, as TCP would have it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import get_ident

from foundation.core.identity import NodeId
from foundation.errors import FabricLostError, UnreachableError
from foundation.fabric.transport import SessionSettings, Undo

logger = logging.getLogger(__name__)


class MemoryNetwork:
    """Where the sessions of one program meet."""

    def __init__(self) -> None:
        self.sessions: dict[str, MemorySession] = {}
        self._cut: dict[frozenset[NodeId], int] = {}
        self._held: list[Callable[[], None]] = []
        self._numbers = itertools.count(1)

    def cut(self, one: NodeId, other: NodeId) -> None:
        """Cut the link between two nodes; each notices when its lease is over."""
        self._cut.setdefault(frozenset((one, other)), next(self._numbers))
        for mine, theirs in ((one, other), (other, one)):
            if session := self.session(mine):
                session.expect_loss(theirs)

    def heal(self) -> None:
        """Mend every cut; nodes that noticed theirs must be introduced again."""
        self._cut.clear()
        held, self._held = self._held, []
        for carry in held:
            carry()
        for session in list(self.sessions.values()):
            session.drop_half_open()

    def cut_number(self, one: NodeId, other: NodeId) -> int:
        """Return which cut is between two nodes; 0 when something sent now would arrive."""
        return self._cut.get(frozenset((one, other)), 0)

    def carry(self, one: NodeId, other: NodeId, what: Callable[[], None]) -> None:
        """Do ``what`` at the other end, now or when the cut is mended."""
        if self.cut_number(one, other):
            self._held.append(what)
        else:
            what()

    def session(self, node: NodeId) -> MemorySession | None:
        """Return the open session of a node."""
        return next((session for session in self.sessions.values() if session.node == node), None)

    def admit(self, session: MemorySession) -> str:
        """Give a new session an endpoint."""
        endpoint = f"memory/{session.settings.host}:{next(self._numbers)}"
        self.sessions[endpoint] = session
        return endpoint


NETWORK = MemoryNetwork()
"""The network that sessions join when nothing else is said."""


class Transport:
    """Open sessions on a network in memory."""

    def __init__(self, network: MemoryNetwork | None = None) -> None:
        self._network = network or NETWORK

    async def open(self, settings: SessionSettings, lost: Callable[[str], None]) -> MemorySession:
        """See the port."""
        return MemorySession(self._network, settings, lost)


class MemorySession:
    """One session in memory."""

    def __init__(self, network: MemoryNetwork, settings: SessionSettings, lost: Callable[[str], None]) -> None:
        self.settings = settings
        self.node = settings.node
        self.lost = lost
        self.linked: dict[NodeId, MemorySession] = {}
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()
        self._network = network
        self._subscribers: dict[int, tuple[str, Callable[[str, bytes], None]]] = {}
        self._watchers: dict[int, tuple[str, Callable[[str, bool], None]]] = {}
        self._tokens: dict[int, str] = {}
        self._seen: dict[NodeId, dict[int, str]] = {self.node: self._tokens}
        self._numbers = itertools.count()
        self._closed = False
        self._endpoint = network.admit(self)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """See the port."""
        return (self._endpoint,)

    def put(self, key: str, payload: bytes) -> None:
        """See the port."""
        self._require_open()
        self._tell(lambda session: session._message_arrived(self, key, payload))  # noqa: SLF001 - of our own kind

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        self._require_open()
        number = next(self._numbers)
        self._subscribers[number] = (expression, receive)
        return lambda: (self._subscribers.pop(number, None), None)[1]

    def declare(self, token: str) -> Undo:
        """See the port."""
        self._require_open()
        number = next(self._numbers)
        self._at_home(self._tell, lambda session: session._token_appeared(self, number, token))  # noqa: SLF001

        def undo() -> None:
            if number in self._tokens:
                self._at_home(self._tell, lambda session: session._token_vanished(self, number))  # noqa: SLF001

        return undo

    def _at_home(self, act: Callable[[_What], None], what: _What) -> None:
        if get_ident() == self._thread:
            act(what)
        else:
            self._loop.call_soon_threadsafe(act, what)

    def watch(self, expression: str, changed: Callable[[str, bool], None]) -> Undo:
        """See the port."""
        self._require_open()
        number = next(self._numbers)
        self._watchers[number] = (expression, changed)
        for tokens in self._seen.values():
            for token in tokens.values():
                if matches(expression, token):
                    self._soon(self._notify, number, token, True)  # noqa: FBT003 - the port's callback
        return lambda: (self._watchers.pop(number, None), None)[1]

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """See the port. Gossip: the neighbors of both become neighbors of each other."""
        await asyncio.sleep(0)
        there = [self._network.sessions[end] for end in endpoints if end in self._network.sessions]
        other = next((session for session in there if session.node == node), None)
        if self._closed or other is None or not self._believes(other) or self._network.cut_number(self.node, node):
            message = f"no session at {', '.join(endpoints)} let this node in"
            raise UnreachableError(message)
        circle = [self, other, *self.linked.values(), *other.linked.values()]
        for one, two in itertools.permutations(dict.fromkeys(circle), 2):
            one._link(two)  # noqa: SLF001

    async def close(self) -> None:
        """See the port."""
        self.crash()

    def crash(self) -> None:
        """End at once: the others see the tokens vanish, those behind a cut when their lease is over."""
        if self._closed:
            return
        self._closed = True
        self._network.sessions.pop(self._endpoint, None)
        for session in list(self.linked.values()):
            if not self._network.cut_number(self.node, session.node):
                session._unlink(self.node)  # noqa: SLF001
        self.linked.clear()
        self._subscribers.clear()
        self._watchers.clear()

    def expect_loss(self, node: NodeId) -> None:
        """Give up the link to a node once the lease is over, unless the cut is mended before."""
        if node in self.linked:
            number = self._network.cut_number(self.node, node)
            self._loop.call_later(self.settings.lease_s, self._give_up, node, number)

    def drop_half_open(self) -> None:
        """Give up the links that the other side has given up."""
        for node, other in list(self.linked.items()):
            if other.linked.get(self.node) is not self:
                self._unlink(node)

    def _give_up(self, node: NodeId, cut: int) -> None:
        if self._network.cut_number(self.node, node) == cut:
            self._unlink(node)

    def _believes(self, other: MemorySession) -> bool:
        """Like user and password there: one must accept the other's cookie, and with one the namespace be the same."""
        mine, theirs = self.settings, other.settings
        accepted = mine.cookie in theirs.cookie.accepted or theirs.cookie in mine.cookie.accepted
        return accepted and (not mine.cookie or mine.namespace == theirs.namespace)

    def _link(self, other: MemorySession) -> None:
        if other.node in self.linked or self._network.cut_number(self.node, other.node):
            return
        self.linked[other.node] = other
        for number, token in other._tokens.items():
            self._token_appeared(other, number, token)

    def _unlink(self, node: NodeId) -> None:
        if (other := self.linked.get(node)) is not None:
            for number in list(self._seen.get(node, ())):
                self._token_vanished(other, number)
            del self.linked[node]
            self._seen.pop(node, None)

    def _require_open(self) -> None:
        if self._closed:
            message = "the session in memory is closed"
            raise FabricLostError(message)

    def _tell(self, what: _What) -> None:
        if not self._closed:
            for session in [self, *self.linked.values()]:
                self._network.carry(self.node, session.node, partial(what, session))

    def _hears(self, sender: MemorySession) -> bool:
        return sender is self or self.linked.get(sender.node) is sender

    def _token_appeared(self, sender: MemorySession, number: int, token: str) -> None:
        if self._hears(sender):
            self._seen.setdefault(sender.node, {})[number] = token
            self._tell_watchers(sender, token, is_there=True)

    def _token_vanished(self, sender: MemorySession, number: int) -> None:
        if self._hears(sender) and (token := self._seen.get(sender.node, {}).pop(number, None)) is not None:
            self._tell_watchers(sender, token, is_there=False)

    def _tell_watchers(self, sender: MemorySession, token: str, *, is_there: bool) -> None:
        if sender.settings.namespace == self.settings.namespace:
            for number, (expression, _) in self._watchers.items():
                if matches(expression, token):
                    self._soon(self._notify, number, token, is_there)

    def _notify(self, number: int, token: str, is_there: bool) -> None:
        if number in self._watchers:
            _call(self._watchers[number][1], token, is_there)

    def _message_arrived(self, sender: MemorySession, key: str, payload: bytes) -> None:
        if self._hears(sender) and sender.settings.namespace == self.settings.namespace:
            self._soon(self._deliver, key, payload)

    def _soon(self, act: Callable[..., None], *args: object) -> None:
        """Act in a turn of this session's own node."""
        self._loop.call_soon(act, *args)

    def _deliver(self, key: str, payload: bytes) -> None:
        for number, (expression, receive) in list(self._subscribers.items()):
            if number in self._subscribers and matches(expression, key):
                _call(receive, key, payload)


_What = Callable[[MemorySession], None]
"""What a session does at another one."""


def _call(receive: Callable[..., None], key: str, value: bytes | bool) -> None:
    try:
        receive(key, value)
    except Exception:
        logger.exception("what came over the wire could not be handled: %.200s", key)


def matches(expression: str, key: str) -> bool:
    """Tell whether a key matches an expression: ``*`` is one segment, ``**`` any number of them."""
    if "*" not in expression:
        return expression == key
    return _match(expression.split("/"), key.split("/"))


def _match(pattern: list[str], segments: list[str]) -> bool:
    if not pattern:
        return not segments
    head, rest = pattern[0], pattern[1:]
    if head == "**":
        return any(_match(rest, segments[skip:]) for skip in range(len(segments) + 1))
    return bool(segments) and head in {"*", segments[0]} and _match(rest, segments[1:])
