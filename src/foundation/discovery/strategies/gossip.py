"""Find nodes by encrypted datagrams to a multicast group, to a broadcast address or to some hosts.

Consistency: a node is known from its first authentic packet until its goodbye, or until it was silent for too long.
The format of the packets is in :mod:`foundation.discovery.gossip_packet`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import chance, clock, draw
from foundation.core.tasks import TaskScope
from foundation.discovery.datagrams import DatagramReader
from foundation.discovery.gossip_packet import (
    GOODBYE,
    HERE,
    MOST_BYTES,
    NONCE_BYTES,
    Junk,
    Kind,
    Message,
    Sealer,
    fitting,
    make_message,
)
from foundation.discovery.loopback import is_loopback, loopback_id
from foundation.discovery.media import Broadcast, Medium, Multicast, Targets
from foundation.discovery.peers import MOST_PORT, Announcement, Peer, checked_peer
from foundation.discovery.replay import ReplayGuard, Verdict
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

LOOPBACK, LOOPBACK_IPV6 = "127.0.0.1", "::1"
MOST_TTL = 255
ANSWER_WITHIN_S = 0.1


@dataclass(frozen=True, slots=True)
class GossipOptions:
    """Where packets go, and who may read them."""

    secret: str | None = field(default=None, repr=False)
    """What the packets are encrypted with, alike on all nodes, long and random; None takes the cluster's cookie."""

    port: int = 45931
    """The port of UDP on which packets are sent and heard."""

    multicast_addr: str = "239.255.70.78"
    """The group, of IPv4 or IPv6; the default never leaves the site."""

    multicast_if: tuple[str, ...] = ()
    """Addresses of the interfaces to use, with IPv6 also names; empty takes all, or only loopback if the node does."""

    multicast_ttl: int = 1
    """Routers that a packet may pass, plus one; 1 stays on the local networks."""

    multicast_loop: bool = True
    """Whether other nodes on this machine hear the packets too."""

    broadcast_only: bool = False
    """Use the broadcast addresses of the interfaces instead of a group; only with IPv4."""

    targets: tuple[str, ...] = ()
    """Hosts, or ``host:port``, to send to instead of a group, where there is neither multicast nor broadcast."""

    if_addr: str | None = None
    """The address to hear on; None hears the group, everything, or only loopback if the node does."""

    heartbeat_s: float = 2.5
    """Mean seconds between two packets, each time from half to one and a half of it; less finds nodes sooner."""

    forget_after_s: float = 15.0
    """Seconds of silence after which a node is not found any more; less forgets sooner, more forgives lost packets."""

    max_clock_difference_s: float = 60.0
    """Seconds that clocks may differ, and for which a packet could be replayed to a node that just started."""

    first_wait_s: float = 0.4
    """Seconds that the first lookup waits for an answer; less starts a lonely node sooner, more finds slow answers."""

    rescan_s: float = 10.0
    """Seconds between two looks for new network interfaces; less notices a new network sooner, more costs less."""

    poll_interval_s: float | None = None
    """Seconds between two looks at what was heard; what is new is seen at once anyway."""

    def __post_init__(self) -> None:
        """Refuse what cannot work together."""
        for problem, wrong in (
            (f"port {self.port}: take one from 1 to {MOST_PORT}", not 0 < self.port <= MOST_PORT),
            (f"multicast_addr {self.multicast_addr!r}: no group of multicast", not _is_group(self.multicast_addr)),
            (f"multicast_ttl {self.multicast_ttl}: take 0 to {MOST_TTL}", not 0 <= self.multicast_ttl <= MOST_TTL),
            ("broadcast_only and targets exclude each other", self.broadcast_only and bool(self.targets)),
            ("heartbeat_s must be more than 0", not self.heartbeat_s > 0),
            ("forget_after_s must be more than 1.5 heartbeat_s", not self.forget_after_s > 1.5 * self.heartbeat_s),
            ("max_clock_difference_s must be more than 0", not self.max_clock_difference_s > 0),
            ("secret must not be empty", self.secret == ""),
        ):
            if wrong:
                message = f"the discovery strategy 'gossip': {problem}"
                raise ConfigurationError(message)


class GossipStrategy(DiscoveryStrategy):
    """Send heartbeats that only nodes with the same secret can read, and remember whose were heard."""

    Options: ClassVar[type[GossipOptions]] = GossipOptions

    def __init__(self, options: GossipOptions | None = None) -> None:
        """Open nothing yet."""
        self._options = options or GossipOptions()
        self.poll_interval_s = self._options.poll_interval_s
        self._secret = Secret(self._options.secret or "")
        self._guard = ReplayGuard(self._options.max_clock_difference_s)
        self._counters: Counter[str] = Counter()
        self._loopback_id = loopback_id()
        self._started_ns = 0
        self._scope: TaskScope | None = None
        self._reader: DatagramReader | None = None
        self._socket: socket.socket | None = None
        self._forget()

    def _forget(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._heard_at: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: str | None = None
        self._difference_s: float | None = None
        self._first = True

    @property
    def counters(self) -> Mapping[str, int]:
        """How many datagrams were heard since this object was made, by what they were.

        ``accepted``; ``own``; ``size``, ``malformed``, ``foreign``, ``forged`` as in
        :class:`foundation.discovery.gossip_packet.Junk`; ``replayed``, ``untimely``, ``unknown`` as in
        :class:`foundation.discovery.replay.Verdict`; ``other_cluster``; ``unusable``: authentic, but without an address
        that could be dialed.
        """
        return dict(self._counters)

    def use_cookie(self, cookie: Secret) -> None:
        """See :meth:`DiscoveryStrategy.use_cookie`; an own secret wins."""
        if self._options.secret is None:
            self._secret = cookie
            if self._socket is not None:
                self._sealer = Sealer(cookie)

    async def start(self, announcement: Announcement) -> None:
        """Open the socket, announce this node, and begin to hear."""
        if not self._secret:
            message = "the discovery strategy 'gossip' needs a secret: set its option 'secret', or FOUNDATION_COOKIE"
            raise ConfigurationError(message)
        self._sealer = Sealer(self._secret)
        self._me = announcement
        self._make = make_message(announcement, self._loopback_id)
        # Later than any start before, also when the clock was set back: or others would take us for a replay.
        self._started_ns = max(int(clock().wall() * 1e9), self._started_ns + 1)
        self._number = 0
        self._medium = self._choose(announcement)
        try:
            self._socket = self._medium.open()
        except OSError as error:
            raise DiscoveryError(self._explain(error)) from error
        self._reader = DatagramReader(self._socket, self._receive, MOST_BYTES)
        self._scope = TaskScope("gossip")
        self._sent_at = self._scanned_at = asyncio.get_running_loop().time()
        if not self.announces:
            return
        await self._say(HERE)
        self._scope.keep_running(self._beat, "heartbeat")

    async def lookup(self) -> Iterable[Peer]:
        """Return who was heard not too long ago; raises DiscoveryError when nothing can be sent."""
        if self._socket is None:
            return ()
        self._changed.clear()
        if self._first and self._failure is None:
            self._first = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.first_wait_s):
                    await self._changed.wait()
        if self._failure is not None:
            raise DiscoveryError(self._failure)
        self._expire()
        difference_s, self._difference_s = self._difference_s, None
        if difference_s is not None and not self._peers:
            message = (
                f"packets of this cluster are {difference_s:+.0f} s from the clock of this machine;"
                " unless they are replays, set the clocks of all machines (NTP), or the option 'max_clock_difference_s'"
            )
            raise DiscoveryError(message)
        return tuple(self._peers.values())

    async def wait_changed(self) -> None:
        """Return when somebody was heard for the first time, or said goodbye, or nothing can be sent any more."""
        await self._changed.wait()

    async def stop(self) -> None:
        """Say goodbye and close the socket."""
        scope, self._scope = self._scope, None
        opened = self._socket
        if scope is not None:
            await scope.close()
            with contextlib.suppress(OSError):
                if self.announces:
                    await self._say(GOODBYE)
        reader, self._reader = self._reader, None
        self._socket = None
        if reader is not None:
            reader.close()
        if opened is not None:
            opened.close()
        self._forget()

    def _choose(self, announcement: Announcement) -> Medium:
        options = self._options
        mine = announcement.addresses
        is_local = bool(mine) and all(is_loopback(address) for address in mine)
        if options.targets:
            bind = options.if_addr or (LOOPBACK if is_local else "0.0.0.0")  # noqa: S104 - authenticated
            return Targets(options.port, targets=options.targets, bind=bind)
        # Where nobody else could reach us, nobody else need hear of us.
        loopback = LOOPBACK_IPV6 if ":" in options.multicast_addr and not options.broadcast_only else LOOPBACK
        interfaces = options.multicast_if or ((loopback,) if is_local else ())
        if options.broadcast_only:
            return Broadcast(options.port, interfaces=interfaces, bind=options.if_addr)
        return Multicast(
            options.port,
            group=options.multicast_addr,
            interfaces=interfaces,
            ttl=options.multicast_ttl,
            loop=options.multicast_loop,
            bind=options.if_addr,
        )

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.heartbeat_s * (0.5 + draw())):
                    await self._hurry.wait()
            if self._hurry.is_set():  # many hear a newcomer at once, and should not answer at once
                await asyncio.sleep(ANSWER_WITHIN_S * draw() + max(0.0, self._sent_at + ANSWER_WITHIN_S - loop.time()))
            await self._say(HERE)

    async def _say(self, kind: Kind) -> None:
        opened = self._socket
        if opened is None:
            return
        loop = asyncio.get_running_loop()
        try:
            if loop.time() - self._scanned_at >= self._options.rescan_s:
                self._scanned_at = loop.time()
                self._medium.refresh(opened)
            await self._medium.send(opened, lambda: self._packet(kind))
        except OSError as error:
            self._failure = self._explain(error)
            self._changed.set()
        except DiscoveryError as error:
            self._failure = str(error)
            self._changed.set()
        else:
            self._failure = None
        self._sent_at = loop.time()

    def _packet(self, kind: Kind) -> bytes:
        # Each way has its own: one that comes by two ways is no replay.
        self._number += 1
        message = self._make(kind, self._started_ns, self._number, clock().wall())
        return self._sealer.seal(message, chance().randbytes(NONCE_BYTES))

    def _receive(self, datagram: bytes) -> None:
        message = self._sealer.open(datagram)
        if isinstance(message, Junk):
            self._counters[message.value] += 1
        elif message.node == self._me.node:
            self._counters["own"] += 1
        elif message.cluster != fitting(self._me.cluster):
            self._counters["other_cluster"] += 1
        else:
            self._judge(message)

    def _judge(self, message: Message) -> None:
        now_s = clock().wall()
        verdict = self._guard.judge(message.node, message.started_ns, message.number, message.sent_s, now_s)
        if verdict is not Verdict.FRESH:
            self._counters[verdict.value] += 1
            if verdict is Verdict.UNTIMELY:
                self._difference_s = message.sent_s - now_s
            return
        if message.kind == GOODBYE:
            self._counters["accepted"] += 1
            self._guard.close(message.node)
            self._drop(message.node)
            return
        peer = read_message(message, self._loopback_id)
        self._counters["unusable" if peer is None else "accepted"] += 1
        if peer is None:
            return
        self._heard_at[message.node] = asyncio.get_running_loop().time()
        if message.node not in self._peers:
            self._hurry.set()
        if self._peers.get(message.node) != peer:
            self._peers[message.node] = peer
            self._changed.set()

    def _drop(self, node: str) -> None:
        self._heard_at.pop(node, None)
        if self._peers.pop(node, None) is not None:
            self._changed.set()

    def _expire(self) -> None:
        oldest = asyncio.get_running_loop().time() - self._options.forget_after_s
        for node in [node for node, heard_at in self._heard_at.items() if heard_at < oldest]:
            self._heard_at.pop(node, None)
            self._peers.pop(node, None)

    def _explain(self, error: OSError) -> str:
        where = "targets" if self._options.targets else "broadcast" if self._options.broadcast_only else "multicast"
        return f"gossip by {where} on port {self._options.port} cannot be used: {error.strerror or error}"

    _me: Announcement
    _make: Callable[[Kind, int, int, float], Message]
    _medium: Medium
    _number: int
    _sealer: Sealer
    _scanned_at: float
    _sent_at: float


def read_message(message: Message, loopback: str) -> Peer | None:
    """Return the peer that an authentic message describes, or None: nothing in it can be dialed from here."""
    addresses = message.addresses
    try:
        if message.loopback != loopback:
            addresses = tuple(address for address in addresses if not is_loopback(address))
        return checked_peer(Peer(addresses, NodeId(message.node), message.name))
    except (ConfigurationError, TypeError):
        return None


def _is_group(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_multicast
    except ValueError:
        return False


Strategy = GossipStrategy
