"""One node on the wire: a door for strangers, a session for members.

Above the thin session port this adds who is present with which facts, sessions with other nodes, and topics.

*Consistency.* Frames to one node arrive in order per channel, each once, across cuts and changes of path, for as long
as both nodes remember their session. Presence is this node's own view: a node is present here as long as a Zenoh link
to it lives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from foundation.core.catalog import Catalog
from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import chance
from foundation.core.tasks import TaskScope
from foundation.errors import (
    CodecError,
    FabricError,
    FabricLostError,
    HandshakeError,
    NotRunningError,
    UnreachableError,
)
from foundation.fabric import keys
from foundation.fabric.dialing import dial
from foundation.fabric.door import Door, knock
from foundation.fabric.handshake import Acquaintance, Identity
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.fabric.packet import split_sender
from foundation.fabric.peers import FabricCounters, Peers
from foundation.fabric.presence import PresenceTable
from foundation.fabric.renewable import RenewableSession
from foundation.fabric.tls import Tls
from foundation.fabric.transport import SessionSettings, TransportSession, Undo

logger = logging.getLogger(__name__)

_MOST_STRANGERS = 256
"""Senders whose frames are taken before their presence is seen; frames may overtake it."""

TRANSPORTS = Catalog("transport", "foundation.fabric.transports", "Transport")


class NodeAddress(tuple[str, int]):
    """Host and port of a node's door."""

    __slots__ = ()

    @classmethod
    def parse(cls, address: str) -> NodeAddress:
        """Read ``host:port``; what cannot be one is :class:`UnreachableError`."""
        host, _, port = address.rpartition(":")
        try:
            return cls((host.strip("[]"), int(port)))
        except ValueError:
            message = f"{address[:80]!r} is not an address"
            raise UnreachableError(message) from None

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
        self.peers = Peers(node, options)
        self.acquaintances: Callable[[], Sequence[Acquaintance]] = tuple
        self.presence_changed: Callable[[NodeId, bytes | None], None] = lambda _node, _facts: None
        self.stuck_changed: Callable[[NodeId, bool], None] = lambda _node, _is_stuck: None
        self._take_back_stuck: Undo = _nothing
        self._version = version
        self._cookie = cookie
        self._options = options
        self._tls = Tls(options.tls) if options.tls else None
        self._door = Door(self._identity, cookie, options, self.peers.linked, self._tls)
        self._presence = PresenceTable()
        self._arrivals: list[asyncio.Future[None]] = []
        self._stack = AsyncExitStack()
        self._session: RenewableSession | None = None
        self._renewing = asyncio.Lock()
        self._announced: tuple[int, Undo] = (0, lambda: None)
        self._lost: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        self._lost = asyncio.get_running_loop().create_future()
        async with AsyncExitStack() as stack:
            transport = TRANSPORTS.find(self._options.transport)()
            session = self._session = RenewableSession(transport, self._settings(), self._session_lost)
            await session.open()
            stack.push_async_callback(session.close)
            self.peers.put = lambda receiver, payload: session.put(keys.frames(receiver), payload)
            self.peers.lost = self._session_lost
            self.peers.dial_link = self._dial_link
            await stack.enter_async_context(self.peers)
            await stack.enter_async_context(self._door)  # last, so it opens only when it can name the session
            session.subscribe(keys.frames(self.node_id), self._frames_arrived)
            session.watch(keys.PRESENCE, self._token_changed)
            session.watch(keys.STUCK, self._stuck_changed)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._session = None

    async def renew(self, cookie: Secret | None = None) -> None:
        """Go by another cookie, and read the certificates again, without a restart.

        What is linked stays so. The session below is opened anew: for a moment nothing takes its routes, and members
        that have no direct link to this node see it unreachable meanwhile. Raises :class:`ConfigurationError` when the
        files are not good: then everything stays as it was.
        """
        async with self._renewing:
            tls = Tls(self._tls.options) if self._tls else None
            self._tls, self._cookie = tls, cookie or self._cookie
            self._door.renew(self._cookie, tls)
            before = self.present()
            if self._session is not None:
                await self._session.renew(self._settings())
            async with TaskScope("meet again") as scope:
                meetings = [scope.start(self._meet_again(node), f"meet {node[:8]} again") for node in sorted(before)]
                if meetings:
                    await asyncio.wait(meetings)

    async def _meet_again(self, node: NodeId) -> None:
        """Link the new session with that of a node that was there before; if that fails, the others dial."""
        for address in self.peers.addresses_of(node):
            try:
                identity = await self.probe(NodeAddress.parse(address))
                await self._running.introduce(identity.node, identity.endpoints)
            except FabricError as error:
                logger.debug("%s was not met again at %s: %s", node[:8], address, error)
            else:
                return

    def _settings(self) -> SessionSettings:
        options = self._options
        return SessionSettings(
            self.node_id, keys.namespace(self.cluster), self._cookie, options.host, options.session_port,
            options.lease_s, options.open_timeout_s, options.introduction_timeout_s,
            self._tls.options if self._tls else None,
        )  # fmt: skip

    @property
    def counters(self) -> FabricCounters:
        """What passed, and what was dropped."""
        return self.peers.counters

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
        """Knock at a door and, when it opens, link the two sessions. Returns who lives there.

        By then the link is up, and the node present; one that has not announced itself yet is waited for a moment.
        """
        identity = await self.probe(address)
        if identity.cluster != self.cluster:
            message = f"the node at {address} belongs to the cluster {identity.cluster!r}"
            raise HandshakeError(message)
        if identity.node not in self._presence:
            await self._link(address, identity)
        return identity

    async def _link(self, address: NodeAddress, identity: Identity) -> None:
        """Link the two sessions; end at once when the node does: others may wait for this node to give it up."""
        try:
            async with TaskScope("link") as scope, asyncio.timeout(None) as limit:
                scope.start(self._mind_door(address, limit), f"mind the door at {address}")
                await self._running.introduce(identity.node, identity.endpoints)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_ANNOUNCEMENT_TIMEOUT_S):
                        await self._until_present(identity.node)
        except TimeoutError:
            message = f"{address} was open, and nothing listens there any more"
            raise UnreachableError(message, connection_refused=True) from None

    async def _mind_door(self, address: NodeAddress, limit: asyncio.Timeout) -> None:
        """Let the time be over when nothing listens at a door any more."""
        while True:
            await asyncio.sleep(_KNOCK_AGAIN_S)
            try:
                await self.probe(address)
            except FabricError as error:
                if isinstance(error, UnreachableError) and error.connection_refused:
                    limit.reschedule(asyncio.get_running_loop().time())
                    return

    async def _until_present(self, node: NodeId) -> None:
        while node not in self._presence:
            arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._arrivals.append(arrival)
            await arrival

    async def probe(self, address: NodeAddress) -> Identity:
        """Knock at a door without linking: is the node there alive?"""
        return await knock(address, self._identity(), self._cookie, self._options.handshake_timeout_s, self._tls)

    def announce(self, facts: bytes) -> None:
        """Tell everybody these facts about this node; the first call makes it present."""
        version, take_back = self._announced
        token = keys.presence(keys.Presence(self.node_id, version + 1, facts))
        try:
            self._announced = (version + 1, self._running.declare(token))
            take_back()
        except FabricLostError as error:
            self._session_lost(str(error))

    def tell_stuck(self, is_stuck: bool) -> None:
        """Tell the others that the event loop of this node stands still, or goes on; called in another thread."""
        take_back, self._take_back_stuck = self._take_back_stuck, _nothing
        with suppress(FabricLostError):
            take_back()
            if is_stuck:
                self._take_back_stuck = self._running.declare(keys.stuck(self.node_id))

    def withdraw(self) -> None:
        """Stop being present."""
        version, take_back = self._announced
        self._announced = (version, lambda: None)
        take_back()

    def send(self, node: NodeId, frame: bytes, channel: Channel = Channel.EVENTS) -> None:
        """Queue one frame (an encoded MessagePack value) for a node; what is queued in one loop turn goes together.

        In order per node and channel, at most once, across cuts and changes of path, until the node is forgotten.
        Raises :class:`NotDelivered` when there is no such node, :class:`Overloaded` when too much waits for it.
        """
        self.peers.send(node, frame, channel)

    def room(self, node: NodeId, channel: Channel = Channel.EVENTS) -> bool:
        """Tell whether little enough waits in a channel that a sender may add to it without :meth:`wait_for_room`."""
        return self.peers.room(node, channel)

    async def wait_for_room(self, node: NodeId, channel: Channel = Channel.EVENTS) -> None:
        """Wait until there is room for a node in a channel.

        Raises :class:`NotDelivered` when it goes meanwhile, :class:`Overloaded` when too many wait already.
        """
        await self.peers.wait_for_room(node, channel)

    def forget(self, node: NodeId) -> None:
        """End the session with a node that is down or has left; further sends to it fail."""
        self.peers.forget(node)

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
            others = chance().sample(others, _MOST_ACQUAINTANCES)
        return Identity(self.cluster, self.node_id, self.name, self._version, endpoints, tuple(others))

    def _session_lost(self, cause: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(FabricLostError(cause))
            self._lost.exception()  # whoever waits for it gets it; nobody waiting is no error of its own

    async def _dial_link(self, address: str) -> tuple[Link, NodeId]:
        me, timeout_s = self._identity(), self._options.handshake_timeout_s
        door = NodeAddress.parse(address)
        link, identity = await dial(door, me, self._cookie, timeout_s, wants_link=True, tls=self._tls)
        return link, identity.node

    def _frames_arrived(self, _key: str, payload: bytes) -> None:
        try:
            sender, packets = split_sender(payload)
        except CodecError as error:
            self.peers.drop(str(error))
        else:
            self.peers.routed(sender, packets)

    def _stuck_changed(self, key: str, is_there: bool) -> None:
        try:
            node = keys.parse_stuck(key)
        except CodecError as error:
            self.peers.drop(str(error))
        else:
            if node != self.node_id:
                self.stuck_changed(node, is_there)

    def _token_changed(self, key: str, is_there: bool) -> None:
        try:
            token = keys.parse_presence(key)
        except CodecError as error:
            self.peers.drop(str(error))
            return
        if token.node == self.node_id:
            return
        if is_there:
            is_new = token.node not in self._presence
            if self._presence.appeared(token):
                if is_new:
                    self.peers.found(token.node)
                self.presence_changed(token.node, token.facts)
                self._tell_arrival()
        elif self._presence.vanished(token):
            self.peers.absent(token.node)
            self.presence_changed(token.node, None)

    def _tell_arrival(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        for arrival in arrivals:
            if not arrival.done():
                arrival.set_result(None)


def _nothing() -> None:
    """Take back what was never declared."""


_MOST_ACQUAINTANCES = 64
_ANNOUNCEMENT_TIMEOUT_S = 0.5
_KNOCK_AGAIN_S = 0.25
"""Most introductions take a few hundredths of a second, so that hardly any has the door knocked at again."""
_NOT_RUNNING = "the fabric is not running"
