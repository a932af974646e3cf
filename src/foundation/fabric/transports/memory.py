"""An engine in memory: the nodes of one program, wired to each other, with links that a test can cut.

It follows what Zenoh was seen to do: links only after an introduction and gossip among neighbors, tokens that vanish at
once when a session dies and after the lease when a link is cut, nothing relayed between peers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.errors import UnreachableError
from foundation.fabric.transport import SessionSettings, Undo


class MemoryNetwork:
    """Where the sessions of one program meet."""

    def __init__(self) -> None:
        self.sessions: dict[str, MemorySession] = {}
        self._cut: set[frozenset[NodeId]] = set()
        self._numbers = itertools.count(1)

    def cut(self, one: NodeId, other: NodeId) -> None:
        """Cut the link between two nodes; each notices when its lease is over."""
        self._cut.add(frozenset((one, other)))
        for mine, theirs in ((one, other), (other, one)):
            if session := self.session(mine):
                session.expect_loss(theirs)

    def heal(self) -> None:
        """Mend every cut; the nodes must be introduced again if they noticed it."""
        self._cut.clear()

    def carries(self, one: NodeId, other: NodeId) -> bool:
        """Tell whether something sent now would arrive."""
        return frozenset((one, other)) not in self._cut

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

    def __init__(self, network: MemoryNetwork = NETWORK) -> None:
        self._network = network

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
        self._network = network
        self._subscribers: dict[int, tuple[str, Callable[[str, bytes], None]]] = {}
        self._watchers: dict[int, tuple[str, Callable[[str, bool], None]]] = {}
        self._tokens: dict[int, str] = {}
        self._numbers = itertools.count()
        self._closed = False
        self._endpoint = network.admit(self)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """See the port."""
        return (self._endpoint,)

    def put(self, key: str, payload: bytes) -> None:
        """See the port."""
        full = f"{self.settings.namespace}/{key}"
        for session in [self, *self.linked.values()]:
            if self._network.carries(self.node, session.node):
                session._loop.call_soon(session._arrived, full, payload)  # noqa: SLF001 - a session of our own kind

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        number = next(self._numbers)
        self._subscribers[number] = (expression, receive)
        return lambda: (self._subscribers.pop(number, None), None)[1]

    def declare(self, token: str) -> Undo:
        """See the port."""
        number = next(self._numbers)
        self._tokens[number] = token

        def undo() -> None:
            if self._tokens.pop(number, None) is not None:
                self._tell_token(token, there=False)

        self._tell_token(token, there=True)
        return undo

    def watch(self, expression: str, changed: Callable[[str, bool], None]) -> Undo:
        """See the port."""
        number = next(self._numbers)
        self._watchers[number] = (expression, changed)
        for session in [self, *self.linked.values()]:
            for token in session._tokens.values():  # noqa: SLF001
                if matches(expression, token):
                    self._loop.call_soon(changed, token, True)  # noqa: FBT003 - the port's callback
        return lambda: (self._watchers.pop(number, None), None)[1]

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """See the port. Gossip: the neighbors of both become neighbors of each other."""
        await asyncio.sleep(0)
        other = next((self._network.sessions[end] for end in endpoints if end in self._network.sessions), None)
        known = other is not None and _same_secret(self.settings.cookie, other.settings.cookie)
        if other is None or not known or not self._network.carries(self.node, other.node) or other.node != node:
            message = f"no session at {', '.join(endpoints)} let this node in"
            raise UnreachableError(message)
        circle = [self, other, *self.linked.values(), *other.linked.values()]
        for one, two in itertools.permutations(dict.fromkeys(circle), 2):
            one._link(two)  # noqa: SLF001

    async def close(self) -> None:
        """See the port."""
        self.crash()

    def crash(self) -> None:
        """End at once: the others see the tokens vanish."""
        if self._closed:
            return
        self._closed = True
        self._network.sessions.pop(self._endpoint, None)
        for session in list(self.linked.values()):
            session._unlink(self.node)  # noqa: SLF001
        self.linked.clear()
        self._subscribers.clear()
        self._watchers.clear()

    def expect_loss(self, node: NodeId) -> None:
        """Give up the link to a node once the lease is over, unless the cut is mended before."""
        if node in self.linked:
            self._loop.call_later(self.settings.lease_s, self._give_up, node)

    def _give_up(self, node: NodeId) -> None:
        if not self._network.carries(self.node, node):
            self._unlink(node)

    def _link(self, other: MemorySession) -> None:
        if other.node in self.linked or not self._network.carries(self.node, other.node):
            return
        self.linked[other.node] = other
        for token in other._tokens.values():
            self._token_changed(token, other.settings.namespace, there=True)

    def _unlink(self, node: NodeId) -> None:
        if (other := self.linked.pop(node, None)) is not None:
            for token in other._tokens.values():  # noqa: SLF001
                self._token_changed(token, other.settings.namespace, there=False)

    def _tell_token(self, token: str, *, there: bool) -> None:
        for session in [self, *self.linked.values()]:
            if self._network.carries(self.node, session.node):
                session._token_changed(token, self.settings.namespace, there=there)  # noqa: SLF001

    def _token_changed(self, token: str, namespace: str, *, there: bool) -> None:
        for expression, changed in self._watchers.values():
            if namespace == self.settings.namespace and matches(expression, token):
                self._loop.call_soon(changed, token, there)

    def _arrived(self, full_key: str, payload: bytes) -> None:
        prefix = f"{self.settings.namespace}/"
        key = full_key.removeprefix(prefix)
        if full_key.startswith(prefix):
            for expression, receive in list(self._subscribers.values()):
                if matches(expression, key):
                    receive(key, payload)


def matches(expression: str, key: str) -> bool:
    """Tell whether a key matches an expression: ``*`` is one segment, ``**`` any number of them."""
    return _match(expression.split("/"), key.split("/"))


def _match(pattern: list[str], segments: list[str]) -> bool:
    if not pattern:
        return not segments
    head, rest = pattern[0], pattern[1:]
    if head == "**":
        return any(_match(rest, segments[skip:]) for skip in range(len(segments) + 1))
    return bool(segments) and head in {"*", segments[0]} and _match(rest, segments[1:])


def _same_secret(one: Secret, other: Secret) -> bool:
    return one == other
