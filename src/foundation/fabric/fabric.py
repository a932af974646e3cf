"""One node on the wire: a door for strangers, a session for members.

Above the thin session port this adds who is present with which facts, frames to one node behind a window, and topics.

*Consistency.* Frames to one node arrive in order, each at most once; a cut loses what was under way. Presence is this
node's own view: a node is present here as long as a link to it lives.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from foundation.core.catalog import Catalog
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.errors import CodecError, FabricLostError, HandshakeError, NotDelivered, NotRunningError
from foundation.fabric import keys
from foundation.fabric.batch import pack, unpack
from foundation.fabric.door import Door, knock
from foundation.fabric.handshake import Acquaintance, Identity
from foundation.fabric.options import FabricOptions
from foundation.fabric.peer import Peer
from foundation.fabric.presence import PresenceTable
from foundation.fabric.transport import SessionSettings, TransportSession, Undo

logger = logging.getLogger(__name__)

_MOST_STRANGERS = 256
"""Senders whose frames are taken before their presence is seen; frames may overtake it."""

TRANSPORTS = Catalog("transport", "foundation.fabric.transports", "Transport")


@dataclass(slots=True)
class FabricCounters:
    """What passed, and what was thrown away because it had the wrong shape or came from a past incarnation."""

    frames_sent: int = 0
    frames_received: int = 0
    batches_received: int = 0
    dropped: int = 0


class NodeAddress(tuple[str, int]):
    """Host and port of a node's door."""

    __slots__ = ()

    def __str__(self) -> str:
        """Print as ``host:port``, IPv6 in brackets."""
        host, port = self
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Fabric:
    """Carry presence, frames and topics for one node."""

    def __init__(
        self, node: NodeId, name: str, *, cluster: str, cookie: Secret, version: str, options: FabricOptions
    ) -> None:
        self.node_id = node
        self.name = name
        self.cluster = cluster
        self.counters = FabricCounters()
        self.incarnation = 1
        self.admits: Callable[[NodeId, int], bool] = lambda _node, _incarnation: True
        self.receive: Callable[[NodeId, memoryview], None] = lambda _node, _frames: None
        self.acquaintances: Callable[[], Sequence[Acquaintance]] = tuple
        self.presence_changed: Callable[[NodeId, bytes | None], None] = lambda _node, _facts: None
        self._version = version
        self._cookie = cookie
        self._options = options
        self._door = Door(self._identity, cookie, options)
        self._presence = PresenceTable()
        self._peers: dict[NodeId, Peer] = {}
        self._loopback: list[bytes] = []
        self._flushing: set[NodeId] = set()
        self._stack = AsyncExitStack()
        self._session: TransportSession | None = None
        self._announced: tuple[int, Undo] = (0, lambda: None)
        self._lost: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        namespace = keys.namespace(self.cluster)
        options = self._options
        self._lost = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            settings = SessionSettings(
                self.node_id, namespace, self._cookie, options.host, options.session_port,
                options.lease_s, options.open_timeout_s, options.introduction_timeout_s,
            )  # fmt: skip
            session = await TRANSPORTS.find(options.transport)().open(settings, self._session_lost)
            stack.push_async_callback(session.close)
            self._session = session
            await stack.enter_async_context(self._door)  # last, so it opens only when it can name the session
            session.subscribe(keys.frames_for(self.node_id), self._frames_arrived)
            session.watch(keys.PRESENCE, self._token_changed)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flushing.update(self._peers)
        self._flush()  # what was said last must not be lost, as far as the windows allow
        await self._stack.aclose()
        self._session = None

    @property
    def door(self) -> NodeAddress:
        """Where others knock."""
        return NodeAddress((self._options.host, self._door.port))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The door under every address of this machine that it listens on, as text for discovery."""
        hosts = [endpoint.split("/", 1)[1].rpartition(":")[0] for endpoint in self._running.endpoints]
        return tuple(f"{host}:{self._door.port}" for host in hosts)

    @property
    def refused(self) -> int:
        """How many strangers were turned away at the door."""
        return self._door.refused

    def present(self) -> set[NodeId]:
        """Return the other nodes that this one has a link to."""
        return self._presence.nodes() - {self.node_id}

    def facts(self) -> dict[NodeId, bytes]:
        """Return what the nodes that are present say about themselves."""
        return self._presence.facts()

    async def until_lost(self) -> None:
        """Wait until the session under this node is gone, then raise :class:`FabricLostError` with the cause."""
        if self._lost is None:
            raise NotRunningError(_NOT_RUNNING)
        await asyncio.shield(self._lost)

    def raise_if_lost(self) -> None:
        """Raise :class:`FabricLostError` when the session under this node was lost."""
        if self._lost is not None and self._lost.done() and not self._lost.cancelled():
            self._lost.result()

    async def meet(self, address: NodeAddress) -> Identity:
        """Knock at a door and, when it opens, link the two sessions. Returns who lives there once the link is up."""
        identity = await knock(address, self._identity(), self._cookie, self._options.handshake_timeout_s)
        if identity.cluster != self.cluster:
            message = f"the node at {address} belongs to the cluster {identity.cluster!r}"
            raise HandshakeError(message)
        if identity.node not in self._presence:
            await self._running.introduce(identity.node, identity.endpoints)
        return identity

    async def probe(self, address: NodeAddress) -> Identity:
        """Knock at a door without linking: is the node there alive?"""
        return await knock(address, self._identity(), self._cookie, self._options.handshake_timeout_s)

    def announce(self, facts: bytes) -> None:
        """Tell everybody these facts about this node; the first call makes it present."""
        version, take_back = self._announced
        token = keys.presence(keys.Presence(self.node_id, version + 1, facts))
        with self._noticing_loss():
            self._announced = (version + 1, self._running.declare(token))
            take_back()

    def withdraw(self) -> None:
        """Stop being present."""
        version, take_back = self._announced
        self._announced = (version, lambda: None)
        take_back()

    def send(self, node: NodeId, frame: bytes) -> None:
        """Queue one frame (an encoded MessagePack value) for a node; what is queued in one loop turn goes together.

        Raises :class:`NotDelivered` when there is no such node, :class:`Overloaded` when too much waits for it.
        """
        if node == self.node_id:
            self._loopback.append(frame)
        elif (peer := self._peers.get(node)) is None:
            message = f"node {node[:8]} is not in the cluster"
            raise NotDelivered(message)
        else:
            peer.enqueue(frame)
            self.counters.frames_sent += 1
        if not self._flushing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._flushing.add(node)

    def forget(self, node: NodeId) -> None:
        """Drop all that waits for a node that is down or has left; further sends to it fail."""
        self._peers.pop(node, None)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to every node that subscribes to a matching topic, at most once."""
        self._running.put(keys.topic(topic), payload)

    def subscribe(self, topic: str, receive: Callable[[str, bytes], None]) -> Undo:
        """Have ``receive(topic, payload)`` called for what is published; ``*`` and ``**`` are wildcards."""
        return self._running.subscribe(keys.topic(topic), lambda key, value: receive(keys.parse_topic(key), value))

    @property
    def _running(self) -> TransportSession:
        if self._session is None:
            raise NotRunningError(_NOT_RUNNING)
        return self._session

    def _identity(self) -> Identity:
        endpoints = self._session.endpoints if self._session else ()
        others = self.acquaintances()
        if len(others) > _MOST_ACQUAINTANCES:
            others = random.sample(others, _MOST_ACQUAINTANCES)
        return Identity(self.cluster, self.node_id, self.name, self._version, endpoints, tuple(others))

    def _session_lost(self, cause: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(FabricLostError(cause))
            self._lost.exception()  # whoever waits for it gets it; nobody waiting is no error of its own

    @contextmanager
    def _noticing_loss(self) -> Generator[None]:
        """Take a session that turns out to be gone for the end of this node, not for an error of what used it."""
        try:
            yield
        except FabricLostError as error:
            self._session_lost(str(error))

    def _flush(self) -> None:
        nodes, self._flushing = self._flushing, set()
        with self._noticing_loss():
            for node in nodes:
                if node == self.node_id:
                    frames, self._loopback = self._loopback, []
                    self.receive(node, unpack(pack(self.incarnation, 0, 0, frames)).frames)
                elif peer := self._peers.get(node):
                    peer.flush(self.incarnation)

    def _peer(self, node: NodeId) -> Peer:
        peer = self._peers.get(node)
        if peer is None:
            session, key = self._running, keys.frames(node, self.node_id)
            peer = self._peers[node] = Peer(lambda payload: session.put(key, payload), self._options)
        return peer

    def _frames_arrived(self, key: str, payload: bytes) -> None:
        try:
            sender, batch = keys.parse_sender(key), unpack(payload)
        except CodecError as error:
            self._drop(str(error))
            return
        if sender == self.node_id or not self.admits(sender, batch.incarnation):
            self._drop(f"frames of a past incarnation of {sender[:8]}")
            return
        if sender not in self._peers and len(self._peers) - len(self._presence.nodes()) >= _MOST_STRANGERS:
            self._drop(f"frames of {sender[:8]}, which is not present, like too many others")
            return
        self.counters.batches_received += 1
        with self._noticing_loss():
            self._peer(sender).receive(batch, len(payload), self.incarnation)
        if batch.frame_count:
            self.counters.frames_received += batch.frame_count
            self.receive(sender, batch.frames)

    def _token_changed(self, key: str, is_there: bool) -> None:
        try:
            token = keys.parse_presence(key)
        except CodecError as error:
            self._drop(str(error))
            return
        if token.node == self.node_id:
            return
        if is_there and self._presence.appeared(token):
            self._peer(token.node).found()
            self._flushing.add(token.node)
            asyncio.get_running_loop().call_soon(self._flush)
            self.presence_changed(token.node, token.facts)
        elif not is_there and self._presence.vanished(token):
            if peer := self._peers.get(token.node):
                peer.lost()
            self.presence_changed(token.node, None)

    def _drop(self, why: str) -> None:
        self.counters.dropped += 1
        if self.counters.dropped & (self.counters.dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood logs little
            logger.warning("dropped what came over the wire (%d so far): %s", self.counters.dropped, why)


_MOST_ACQUAINTANCES = 64
_NOT_RUNNING = "the fabric is not running"
