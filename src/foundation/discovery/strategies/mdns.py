"""Find nodes on the local network with multicast DNS.

Consistency: what is known follows the records of the others; a goodbye removes one at once, a silent death when its
record expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from foundation.core.identity import NodeId
from foundation.discovery.interfaces import multicast_interfaces
from foundation.discovery.loopback import is_ip, is_loopback, loopback_id
from foundation.discovery.peers import MOST_ADDRESSES, Announcement, Peer, checked_peer, parse_address
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

SERVICE = "_foundation._tcp.local."
GROUP = "224.0.0.251"
WHAT = "multicast DNS"
LOOPBACK = "127.0.0.1"
MOST_RECORDS = 10_000
MOST_ANNOUNCED = 16
MOST_VALUE_BYTES = 200
MOST_QUESTIONS = 8
QUESTION_MS = 250


@dataclass(frozen=True, slots=True)
class MdnsOptions:
    """How to use multicast DNS."""

    interfaces: tuple[str, ...] = ()
    """Addresses of the network interfaces to use; empty takes all, or only loopback if the node listens only there."""

    poll_interval_s: float | None = None
    """Seconds between two looks at the records heard; what is new is seen at once anyway."""

    first_wait_s: float = 0.4
    """Seconds that the first lookup waits for an answer; less starts a lonely node sooner, more finds slow answers."""

    rescan_s: float = 10.0
    """Seconds between two looks for new network interfaces; less notices a new network sooner, more costs less."""

    ttl_s: int = 1125
    """Seconds until others forget a node that died without a goodbye; less asks the network more often."""


class MdnsStrategy(DiscoveryStrategy):
    """Announce this node as a service of the local network and browse for the others."""

    Options: ClassVar[type[MdnsOptions]] = MdnsOptions

    def __init__(self, options: MdnsOptions | None = None) -> None:
        """Open nothing yet."""
        self._options = options or MdnsOptions()
        self.poll_interval_s = self._options.poll_interval_s
        self._loopback_id = loopback_id()
        self._announcement: Announcement | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._announcing: asyncio.Future[object] | None = None
        self._wanted: tuple[str, ...] = ()
        self._forget()

    def _forget(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._unanswered: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._answered = asyncio.Event()
        self._first = True
        self._scanned_at = 0.0

    async def start(self, announcement: Announcement) -> None:
        """Join the multicast group, announce this node and begin to browse."""
        self._announcement = announcement
        opened = self._zeroconf = self._open(announcement)
        try:
            await opened.zeroconf.async_wait_for_start()
            if not opened.zeroconf.engine.senders:
                message = "no network interface can be used for multicast"
                raise DiscoveryError(message)
            AsyncServiceBrowser(opened.zeroconf, SERVICE, handlers=[self._heard])
            if self.announces:
                # No probing (which takes a second): the name contains the identity, so nobody else can have it.
                service = describe_service(announcement, self._loopback_id, self._options.ttl_s)
                announcing = await opened.async_register_service(service, cooperating_responders=True)
                self._announcing = _future(announcing)
        except (OSError, zeroconf.Error, RuntimeError) as error:
            message = f"multicast DNS cannot be used: {error}"
            raise DiscoveryError(message) from error
        self._scanned_at = asyncio.get_running_loop().time()

    async def lookup(self) -> Iterable[Peer]:
        """Return who has been heard and not said goodbye."""
        opened = self._zeroconf
        if opened is None:
            return ()
        self._changed.clear()
        await self._rescan(opened)
        if self._first:
            self._first = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.first_wait_s):
                    await self._answered.wait()
        for name in list(self._unanswered)[:MOST_QUESTIONS]:
            del self._unanswered[name]
            service = AsyncServiceInfo(SERVICE, name)
            await service.async_request(opened.zeroconf, QUESTION_MS)
            self._learn(name, service)
        return tuple(self._peers.values())

    async def wait_changed(self) -> None:
        """Return when somebody was heard for the first time, or said goodbye."""
        await self._changed.wait()

    async def stop(self) -> None:
        """Say goodbye and leave the multicast group."""
        opened, self._zeroconf = self._zeroconf, None
        announcing, self._announcing = self._announcing, None
        if announcing is not None:
            announcing.cancel()  # or it would announce us once more after the goodbye
        if opened is not None:
            await opened.async_close()
        self._forget()

    def _open(self, announcement: Announcement) -> AsyncZeroconf:
        wanted = self._options.interfaces
        mine = announcement.addresses
        if not wanted and mine and all(is_loopback(address) for address in mine):
            wanted = (LOOPBACK,)  # other hosts could not reach us, so they need not hear of us
        self._wanted = wanted
        try:
            return AsyncZeroconf(interfaces=[*multicast_interfaces(wanted, GROUP, WHAT)])
        except (OSError, RuntimeError, ValueError) as error:
            message = f"multicast DNS cannot be used: {error}"
            raise DiscoveryError(message) from error

    async def _rescan(self, opened: AsyncZeroconf) -> None:
        """Follow a machine from one network to the next."""
        now = asyncio.get_running_loop().time()
        if now - self._scanned_at >= self._options.rescan_s:
            self._scanned_at = now
            await opened.async_update_interfaces([*multicast_interfaces(self._wanted, GROUP, WHAT)])

    def _heard(
        self,
        zeroconf: zeroconf.Zeroconf,
        service_type: str,
        name: str,
        state_change: zeroconf.ServiceStateChange,
    ) -> None:
        if state_change.name == "Removed":
            self._unanswered.pop(name, None)
            if self._peers.pop(name, None) is not None:
                self._changed.set()
            return
        service = AsyncServiceInfo(service_type, name)
        service.load_from_cache(zeroconf)
        if service.properties:
            self._learn(name, service)
        elif len(self._unanswered) < MOST_RECORDS:
            self._unanswered[name] = None
            self._changed.set()
            self._answered.set()

    def _learn(self, name: str, service: AsyncServiceInfo) -> None:
        announcement = self._announcement
        if announcement is None or len(self._peers) >= MOST_RECORDS:
            return
        peer = read_service(service.properties, announcement, self._loopback_id)
        if peer is not None and self._peers.get(name) != peer:
            self._peers[name] = peer
            self._changed.set()
            self._answered.set()


def describe_service(announcement: Announcement, loopback: str, ttl_s: int) -> AsyncServiceInfo:
    """Put the announcement into the records of a service."""
    addresses = announcement.addresses[:MOST_ANNOUNCED]
    properties = {
        "node": announcement.node,
        "name": announcement.name[: MOST_VALUE_BYTES // 4],
        "cluster": fitting(announcement.cluster),
        "version": fitting(announcement.version),
        "loopback": loopback,
        **{f"a{number}": address for number, address in enumerate(addresses)},
    }
    # Nodes read the addresses above, which may have different ports; the address records are for other tools.
    hosts = [host for host, _ in map(parse_address, addresses) if is_ip(host) and "%" not in host]
    return AsyncServiceInfo(
        SERVICE,
        f"{announcement.node}.{SERVICE}",
        port=parse_address(addresses[0])[1] if addresses else 0,
        properties=dict(properties),
        server=f"{announcement.node}.local.",
        parsed_addresses=hosts,
        other_ttl=ttl_s,
    )


def read_service(properties: dict[bytes, bytes | None], me: Announcement, loopback: str) -> Peer | None:
    """Return the peer that the records describe, or None: another cluster, another loopback interface, or nonsense."""
    try:
        texts = {key.decode(): (value or b"").decode() for key, value in properties.items()}
        if texts.get("cluster") != fitting(me.cluster) or texts.get("node") in (None, "", me.node):
            return None
        addresses = [texts[key] for key in (f"a{number}" for number in range(MOST_ADDRESSES)) if key in texts]
        if texts.get("loopback") != loopback:
            addresses = [address for address in addresses if not is_loopback(address)]
        return checked_peer(Peer(tuple(addresses), NodeId(texts["node"]), texts.get("name")))
    except (UnicodeError, ConfigurationError, TypeError):
        return None


def fitting(text: str) -> str:
    """Return ``text``, or its digest when a record has no room for it."""
    content = text.encode("utf-8", "surrogatepass")
    return text if len(content) <= MOST_VALUE_BYTES else hashlib.sha256(content).hexdigest()


def _future(announcing: Awaitable[object]) -> asyncio.Future[object] | None:
    return announcing if isinstance(announcing, asyncio.Future) else None


def _without_traceback(record: logging.LogRecord) -> bool:
    """Keep what zeroconf logs about a broken network to one line."""
    if not logging.getLogger("zeroconf").isEnabledFor(logging.DEBUG):
        record.exc_info = None
    return True


logging.getLogger("zeroconf").addFilter(_without_traceback)

Strategy = MdnsStrategy
