"""Find nodes through etcd 3: each keeps a key there that lives as long as its lease.

Consistency: etcd's own, which is linearizable; a node that stops takes its key back, that of one that died goes with
its lease. Spoken is the JSON form of the API, which every etcd from 3.4 on serves beside gRPC.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import msgspec

from foundation.discovery.announced import read_announcements, write_announcement
from foundation.discovery.heartbeat import check_heartbeat
from foundation.discovery.http_service import ClientFiles, HttpService, RefusedError
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

T = TypeVar("T")

MOST_KEYS = 20_000
UNAUTHENTICATED, FORBIDDEN = 401, 403
LEASE_GONE = 404


@dataclass(frozen=True, slots=True)
class EtcdOptions:
    """Which etcd to ask, and how this node is kept there."""

    endpoints: tuple[str, ...] = ("http://127.0.0.1:2379",)
    """Where the members of the etcd cluster are, tried in order; ``https`` for TLS."""

    prefix: str = "foundation"
    """What the keys begin with: a node is ``prefix/cluster/node``."""

    user: str | None = None
    """The name to log in with; None where etcd asks for none."""

    password: str = field(default="", repr=False)
    """The password of that user."""

    authority: str | None = None
    """A file with the certificates of the authorities to believe; None believes those of the system."""

    certificate: str | None = None
    """A file with this node's certificate, where etcd asks clients for one."""

    private_key: str | None = None
    """The file with the key of that certificate."""

    ttl_s: float = 15.0
    """Whole seconds until a node that died is gone; less forgets sooner, more survives a longer outage of etcd."""

    poll_interval_s: float = 5.0
    """Seconds between two lookups, each also a heartbeat; what changes is seen at once anyway."""

    timeout_s: float = 2.0
    """Seconds after which the next endpoint is tried; less passes over one that hangs sooner."""


class _Header(msgspec.Struct):
    revision: str = "0"


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: str = ""


class _Range(msgspec.Struct):
    header: _Header = msgspec.field(default_factory=_Header)
    kvs: list[_KeyValue] = []


class _Lease(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    ttl: str = msgspec.field(name="TTL", default="0")


class _KeptAlive(msgspec.Struct):
    result: _Lease = msgspec.field(default_factory=_Lease)


class _Login(msgspec.Struct):
    token: str


class _Watched(msgspec.Struct):
    events: list[Any] = []
    canceled: bool = False


class _Event(msgspec.Struct):
    result: _Watched | None = None


class EtcdStrategy(DiscoveryStrategy):
    """Keep a key under a lease, read the others', and watch them."""

    Options: ClassVar[type[EtcdOptions]] = EtcdOptions

    def __init__(self, options: EtcdOptions | None = None) -> None:
        """Check the options, connect to nothing yet."""
        self._options = options = options or EtcdOptions()
        check_heartbeat("etcd", options.ttl_s, options.poll_interval_s)
        if (options.certificate is None) != (options.private_key is None):
            message = "the discovery strategy 'etcd' needs certificate and private_key, or none of the two"
            raise ConfigurationError(message)
        files = ClientFiles(options.authority, options.certificate, options.private_key)
        self._etcd = HttpService("etcd", "etcd", options.endpoints, files)
        self.poll_interval_s = options.poll_interval_s
        self._announcement: Announcement | None = None
        self._lease = ""
        self._revision = 0
        self._folder = ""

    async def start(self, announcement: Announcement) -> None:
        """Log in where that is wanted, and announce this node."""
        cluster = quote(announcement.cluster, safe="", errors="surrogatepass")
        self._folder = f"{self._options.prefix.rstrip('/')}/{cluster}/"
        self._etcd.open({}, self._options.timeout_s)
        self._announcement = announcement
        await self._log_in()
        if self.announces:
            await self._announce(announcement)

    async def lookup(self) -> Iterable[Peer]:
        """Keep the lease, read all keys, and put back ours if it is missing."""
        announcement = self._announcement
        if announcement is None:
            return ()
        if self.announces:
            await self._keep_lease(announcement)
        last = f"{self._folder[:-1]}{chr(ord('/') + 1)}"  # the first text behind all those that begin with the folder
        wanted = {"key": _encode(self._folder), "range_end": _encode(last), "limit": str(MOST_KEYS)}
        found = await self._ask("kv/range", wanted, _Range)
        self._revision = _whole(found.header.revision)
        stored = dict(self._stored(found.kvs))
        if self.announces and announcement.node not in stored:
            await self._announce(announcement)
        return read_announcements(stored.items(), announcement)

    async def wait_changed(self) -> None:
        """Return when a key of the cluster was written or removed since the last lookup."""
        last = f"{self._folder[:-1]}{chr(ord('/') + 1)}"
        wanted = {"key": _encode(self._folder), "range_end": _encode(last), "start_revision": str(self._revision + 1)}
        async with aclosing(self._etcd.lines("POST", "/v3/watch", json={"create_request": wanted})) as lines:
            async for line in lines:
                watched = _decode(line, _Event).result
                # Canceled: by then etcd has dropped that old revision, so that much has changed.
                if watched is None or watched.events or watched.canceled:
                    return
        message = "etcd ended the watch"
        raise DiscoveryError(message)

    async def stop(self) -> None:
        """Give the lease back, and with it the key."""
        self._announcement = None
        lease, self._lease = self._lease, ""
        try:
            if lease and self._etcd.is_open:
                with contextlib.suppress(RefusedError):  # it has ended meanwhile
                    await self._ask("lease/revoke", {"ID": lease}, dict)
        finally:
            await self._etcd.close()

    async def _log_in(self) -> None:
        options = self._options
        if options.user is None:
            return
        self._etcd.set_header("Authorization", None)  # one that has ended would be refused here too
        try:
            name = {"name": options.user, "password": options.password}
            answer = await self._etcd.ask("POST", "/v3/auth/authenticate", json=name)
        except RefusedError as error:
            message = (
                f"etcd does not let the user {options.user!r} in: {error.text}; check the options user and password"
            )
            raise DiscoveryError(message) from error
        self._etcd.set_header("Authorization", answer.decode(_Login, "etcd").token)

    async def _announce(self, announcement: Announcement) -> None:
        if not self._lease:
            granted = await self._ask("lease/grant", {"TTL": str(math.ceil(self._options.ttl_s))}, _Lease)
            self._lease = granted.id
        key, value = self._folder + announcement.node, write_announcement(announcement)
        await self._ask("kv/put", {"key": _encode(key), "value": _encode(value), "lease": self._lease}, dict)

    async def _keep_lease(self, announcement: Announcement) -> None:
        kept = _Lease()
        try:
            kept = (await self._ask("lease/keepalive", {"ID": self._lease}, _KeptAlive)).result
        except RefusedError as error:
            if error.status != LEASE_GONE:
                raise
        if _whole(kept.ttl) <= 0:  # it has ended, and the key with it
            self._lease = ""
            await self._announce(announcement)

    async def _ask(self, path: str, content: dict[str, Any], shape: type[T]) -> T:
        try:
            answer = await self._etcd.ask("POST", f"/v3/{path}", json=content)
        except RefusedError as error:
            if error.status == UNAUTHENTICATED and self._options.user is not None:
                await self._log_in()  # tokens end; the framework asks again, with the new one
                answer = await self._etcd.ask("POST", f"/v3/{path}", json=content)
            elif error.status == FORBIDDEN or "user name is empty" in error.text:
                raise self._forbidden(error) from error
            else:
                raise
        return answer.decode(shape, "etcd")

    def _forbidden(self, error: RefusedError) -> DiscoveryError:
        if self._options.user is None:
            return DiscoveryError(f"etcd asks for a user ({error.text}); set the options user and password")
        grant = f"etcdctl role grant-permission ROLE readwrite --prefix=true {self._options.prefix.rstrip('/')}/"
        return DiscoveryError(f"etcd forbids it to the user {self._options.user!r}; let an administrator run: {grant}")

    def _stored(self, kvs: Iterable[_KeyValue]) -> Iterator[tuple[str, bytes]]:
        for each in kvs:
            with contextlib.suppress(binascii.Error, ValueError):
                key = base64.b64decode(each.key, validate=True).decode()
                yield key.removeprefix(self._folder), base64.b64decode(each.value, validate=True)


def _encode(content: str | bytes) -> str:
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return base64.b64encode(raw).decode()


def _decode(line: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=shape)
    except (msgspec.MsgspecError, UnicodeError) as error:
        message = f"etcd sent an event that cannot be read: {error}"
        raise DiscoveryError(message) from error


def _whole(number: str) -> int:
    if not (number.isascii() and number.isdecimal()):
        message = f"etcd sent {number[:40]!r} for a number"
        raise DiscoveryError(message)
    return int(number)


Strategy = EtcdStrategy
