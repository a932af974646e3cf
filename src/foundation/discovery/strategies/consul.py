"""Find nodes through Consul: each is a service of its agent, with a check that fails unless it is renewed.

Consistency: the catalog of Consul, which an agent brings up to date shortly after a change; a node that stops takes its
service back, that of one that died turns critical after its time to live, and is taken out by Consul later.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import msgspec

from foundation.core.identity import NodeId
from foundation.discovery.heartbeat import check_heartbeat
from foundation.discovery.http_service import Answer, ClientFiles, HttpService, RefusedError
from foundation.discovery.peers import Announcement, Peer, checked_peer, format_address, parse_address
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

NAME = "consul"
MOST_VALUE = 512
FORBIDDEN, NOT_FOUND, FAILED = 403, 404, 500
LEAST_DEREGISTER_S = 60.0
WAIT = "300s"
INDEX = "X-Consul-Index"


@dataclass(frozen=True, slots=True)
class ConsulOptions:
    """Which Consul to ask, for what, and how this node is kept there."""

    url: str = "http://127.0.0.1:8500"
    """Where the agent of this host is; ``https`` for TLS."""

    token: str = field(default="", repr=False)
    """The ACL token, where Consul asks for one."""

    service: str = "foundation"
    """The name of the service that all nodes are instances of."""

    list_using: Literal["health", "catalog", "agent"] = "health"
    """What to ask: ``health`` knows who passes the checks, ``catalog`` all there are, ``agent`` those of one agent."""

    passing_only: bool = True
    """With ``health``: whether to leave out services with a check that does not pass."""

    datacenters: tuple[str, ...] = ()
    """The datacenters to ask, ``all`` for all there are; empty asks that of the agent."""

    filter: str = ""
    """An expression in the language of Consul that services must fulfill, for example ``Service.Tags contains "x"``."""

    register: bool = True
    """Whether to announce this node; without it something else, such as Nomad, must."""

    tags: tuple[str, ...] = ()
    """Tags of this node's service."""

    meta: dict[str, str] = field(default_factory=dict)
    """Metadata of this node's service, beside what nodes need to find each other."""

    authority: str | None = None
    """A file with the certificates of the authorities to believe; None believes those of the system."""

    certificate: str | None = None
    """A file with this node's certificate, where Consul asks clients for one."""

    private_key: str | None = None
    """The file with the key of that certificate."""

    ttl_s: float = 15.0
    """Seconds until the check of a node that died fails; less forgets sooner, more survives a longer outage."""

    deregister_after_s: float = 120.0
    """Seconds after which Consul takes out a service whose check fails, 60 at least."""

    poll_interval_s: float = 5.0
    """Seconds between two lookups, each also a heartbeat; what changes is seen at once anyway."""

    timeout_s: float = 3.0
    """Seconds after which a request is given up."""


class _Service(msgspec.Struct, rename="pascal"):
    address: str = ""
    port: int = 0
    meta: dict[str, str] | None = None


class _Node(msgspec.Struct, rename="pascal"):
    address: str = ""


class _HealthEntry(msgspec.Struct, rename="pascal"):
    node: _Node
    service: _Service


class _CatalogEntry(msgspec.Struct, rename="pascal"):
    address: str = ""
    service_address: str = ""
    service_port: int = 0
    service_meta: dict[str, str] | None = None


class ConsulStrategy(DiscoveryStrategy):
    """Register this node as a service with a TTL check, keep it passing, and read who else is there."""

    Options: ClassVar[type[ConsulOptions]] = ConsulOptions

    def __init__(self, options: ConsulOptions | None = None) -> None:
        """Check the options, connect to nothing yet."""
        self._options = options = options or ConsulOptions()
        check_heartbeat(NAME, options.ttl_s, options.poll_interval_s)
        check_options(options)
        files = ClientFiles(options.authority, options.certificate, options.private_key)
        self._consul = HttpService("Consul", NAME, (options.url,), files)
        self.poll_interval_s = options.poll_interval_s
        self._announcement: Announcement | None = None
        self._registered = False
        self._index = "0"

    async def start(self, announcement: Announcement) -> None:
        """Register this node."""
        token = {"X-Consul-Token": self._options.token} if self._options.token else {}
        self._consul.open(token, self._options.timeout_s)
        self._announcement = announcement
        if self._registers:
            await self._register(announcement)

    async def lookup(self) -> Iterable[Peer]:
        """Keep the check passing and read the services."""
        announcement = self._announcement
        if announcement is None:
            return ()
        if self._registers:
            await self._beat(announcement)
        found: set[Peer] = set()
        failure: DiscoveryError | None = None
        datacenters = await self._datacenters()
        for number, datacenter in enumerate(datacenters):
            try:
                answer = await self._list(datacenter)
            except DiscoveryError as error:
                failure = error  # of one datacenter, which is no reason not to find the nodes of the others
                continue
            if not number:
                self._index = answer.headers.get(INDEX, "0")
            found.update(read_services(answer, self._options.list_using, announcement))
        if failure is not None and not found:
            raise failure
        return found

    async def wait_changed(self) -> None:
        """Return when Consul says that a service or a check has changed, in the first datacenter that is asked."""
        if self._options.list_using == "agent" or self._announcement is None:
            await super().wait_changed()
        first = (await self._datacenters())[0]
        while True:
            answer = await self._list(first, index=self._index, wait=WAIT)
            if answer.headers.get(INDEX, "") != self._index:
                return

    async def stop(self) -> None:
        """Take the service back."""
        announcement, self._announcement = self._announcement, None
        registered, self._registered = self._registered, False
        try:
            if announcement is not None and registered:
                with contextlib.suppress(RefusedError):  # it is not there any more
                    await self._ask("PUT", f"agent/service/deregister/{self._id(announcement)}")
        finally:
            await self._consul.close()

    @property
    def _registers(self) -> bool:
        return self._options.register and self.announces

    async def _register(self, announcement: Announcement) -> None:
        before, self._registered = self._registered, True  # also when no answer comes, as it may have been done
        what = describe_service(announcement, self._options, self._id(announcement))
        try:
            await self._ask("PUT", "agent/service/register", params={"replace-existing-checks": "true"}, json=what)
        except DiscoveryError as error:
            if isinstance(error.__cause__, RefusedError):
                self._registered = before
            raise

    async def _beat(self, announcement: Announcement) -> None:
        try:
            await self._ask("PUT", f"agent/check/pass/{self._id(announcement)}")
        except RefusedError as error:
            if error.status not in (NOT_FOUND, FAILED):
                raise
            await self._register(announcement)  # the agent was started anew, or had taken the service out

    async def _datacenters(self) -> tuple[str, ...]:
        wanted = self._options.datacenters
        if wanted != ("all",):
            return wanted or ("",)
        return tuple((await self._ask("GET", "catalog/datacenters")).decode(list[str], "Consul")) or ("",)

    async def _list(self, datacenter: str, **blocking: str) -> Answer:
        options = self._options
        service = quote(options.service, safe="")
        parameters = dict(blocking)
        wanted = [f"({options.filter})"] if options.filter else []
        if datacenter:
            parameters["dc"] = datacenter
        if options.list_using == "agent":
            wanted.append(f'Service == "{options.service}"')
        elif options.list_using == "health" and options.passing_only:
            parameters["passing"] = "true"
        if wanted:
            parameters["filter"] = " and ".join(wanted)
        path = "agent/services" if options.list_using == "agent" else f"{options.list_using}/service/{service}"
        more: dict[str, Any] = {"timeout": None} if blocking else {}
        return await self._ask("GET", path, params=parameters, **more)

    async def _ask(self, method: str, path: str, **more: Any) -> Answer:  # noqa: ANN401 - what httpx takes
        try:
            return await self._consul.ask(method, f"/v1/{path}", **more)
        except RefusedError as error:
            if error.status != FORBIDDEN:
                raise
            message = (
                f"Consul forbids it ({error.text}); give the option token one whose policy says:"
                f' service "{self._options.service}" {{ policy = "write" }} node_prefix "" {{ policy = "read" }}'
            )
            raise DiscoveryError(message) from error

    def _id(self, announcement: Announcement) -> str:
        return f"{quote(self._options.service, safe='')}-{announcement.node}"


def check_options(options: ConsulOptions) -> None:
    """Refuse what Consul would refuse, or take for something else; raises ConfigurationError."""
    problem = ""
    if not options.service or '"' in options.service or not options.service.isprintable():
        problem = "service must be a name without quotes"
    elif options.deregister_after_s < LEAST_DEREGISTER_S:
        problem = "deregister_after_s must be 60 at least"
    elif options.list_using == "agent" and options.datacenters:
        problem = "an agent knows one datacenter only: set list_using to health or catalog, or datacenters to none"
    elif (options.certificate is None) != (options.private_key is None):
        problem = "certificate and private_key must both be given, or none of the two"
    elif any(key.startswith("foundation-") for key in options.meta):
        problem = "meta must have no keys that begin with foundation-"
    if problem:
        message = f"an option of the discovery strategy {NAME!r} cannot be used: {problem}"
        raise ConfigurationError(message)


def describe_service(announcement: Announcement, options: ConsulOptions, service_id: str) -> dict[str, Any]:
    """Return what registers the node as a service, whose check has the same identity."""
    host, port = parse_address(announcement.addresses[0])
    meta = {
        "foundation-node": announcement.node,
        "foundation-name": announcement.name[: MOST_VALUE // 4],
        "foundation-cluster": fitting(announcement.cluster),
        "foundation-version": announcement.version[:MOST_VALUE],
        "foundation-addresses": _joined(announcement.addresses),
    }
    return {
        "ID": service_id,
        "Name": options.service,
        "Address": host,
        "Port": port,
        "Tags": list(options.tags),
        "Meta": dict(options.meta) | meta,
        "Check": {
            "CheckID": service_id,
            "Name": "The node looks for others",
            "TTL": f"{options.ttl_s}s",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": f"{options.deregister_after_s}s",
        },
    }


def read_services(answer: Answer, list_using: str, me: Announcement) -> Iterator[Peer]:
    """Yield the peers among the services, leaving out nonsense and other clusters."""
    if list_using == "agent":
        entries = list(answer.decode(dict[str, msgspec.Raw], "Consul").values())
    else:
        entries = answer.decode(list[msgspec.Raw], "Consul")
    for entry in entries:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, ConfigurationError, TypeError):
            peer = _read_service(_decode(entry, list_using), me)
            if peer is not None:
                yield peer


def fitting(text: str) -> str:
    """Return ``text``, or its digest when Consul has no room for it."""
    content = text.encode("utf-8", "surrogatepass")
    return text if len(content) <= MOST_VALUE else hashlib.sha256(content).hexdigest()


def _decode(entry: msgspec.Raw, list_using: str) -> _Service:
    if list_using == "agent":
        return msgspec.json.decode(entry, type=_Service)
    if list_using == "catalog":
        found = msgspec.json.decode(entry, type=_CatalogEntry)
        return _Service(found.service_address or found.address, found.service_port, found.service_meta)
    health = msgspec.json.decode(entry, type=_HealthEntry)
    return _Service(health.service.address or health.node.address, health.service.port, health.service.meta)


def _read_service(service: _Service, me: Announcement) -> Peer | None:
    meta = service.meta or {}
    if meta.get("foundation-cluster", fitting(me.cluster)) != fitting(me.cluster):
        return None
    node = meta.get("foundation-node")
    if node == me.node:
        return None
    addresses = tuple(meta.get("foundation-addresses", "").split()) or (format_address(service.address, service.port),)
    return checked_peer(Peer(addresses, None if node is None else NodeId(node), meta.get("foundation-name")))


def _joined(addresses: Iterable[str]) -> str:
    joined = ""
    for address in addresses:
        longer = f"{joined} {address}".strip()
        if len(longer) > MOST_VALUE:
            break
        joined = longer
    return joined


Strategy = ConsulStrategy
