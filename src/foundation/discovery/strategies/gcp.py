"""Find peers among the instances of Compute Engine with some labels, or in an instance group.

Consistency: a list is complete for the zones that could be reached when it was asked for; an instance is listed while
it runs, whether or not a node answers there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from foundation.discovery.google_api import GoogleApi, need_client
from foundation.discovery.peers import MOST_PORT, Peer, checked_peer, format_address
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

RUNNING = "RUNNING"
AT_ONCE = "500"
LIST = "compute.instances.list"
LIST_GROUP = "compute.instanceGroups.list"
_NAME = re.compile(r"[a-z0-9_.:-]{1,63}")


@dataclass(frozen=True, slots=True)
class GcpOptions:
    """Which instances run nodes."""

    port: int = 0
    """The port of the door (FOUNDATION_PORT) on all nodes, or on those without ``port_label``."""

    port_label: str | None = None
    """The label of instances that holds the port of each, where they differ."""

    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Take the instances that have all of these labels."""

    instance_group: str | None = None
    """Take the instances of this group, of the one zone in ``zones`` or of ``region``."""

    zones: tuple[str, ...] = ()
    """Where to look; empty looks in all zones of the project at once."""

    region: str | None = None
    """The region of a regional instance group."""

    project: str | None = None
    """The project's id; None takes the one of this machine."""

    ip_type: Literal["private", "public", "ipv6"] = "private"
    """Which address of an instance to dial."""

    api_url: str = "https://compute.googleapis.com"
    """Where Compute Engine's API is."""

    metadata_url: str | None = None
    """Where the metadata server is; None takes GCE_METADATA_HOST, or the name that every machine knows."""

    timeout_s: float = 4.0
    """Seconds that connecting and each answer may take; less notices a fault sooner."""

    poll_interval_s: float | None = 10.0
    """Seconds between two lookups; less finds nodes sooner, more spares the project's quota of requests."""

    def __post_init__(self) -> None:
        """Refuse what cannot find anybody, or does not belong into a request."""
        zone_or_region = (len(self.zones) == 1) != bool(self.region)
        names = (*self.labels, *self.labels.values(), *self.zones, self.instance_group or "x", self.region or "x")
        for problem, wrong in (
            ("set 'labels' or 'instance_group'", not (self.labels or self.instance_group)),
            ("'instance_group' needs one zone or a region", bool(self.instance_group) and not zone_or_region),
            ("'region' needs 'instance_group'; take 'zones'", bool(self.region) and not self.instance_group),
            ("set 'port' to the nodes' FOUNDATION_PORT, or 'port_label'", not (self.port or self.port_label)),
            (f"port {self.port}: take one from 1 to {MOST_PORT}", not 0 <= self.port <= MOST_PORT),
            ("timeout_s must be more than 0", not self.timeout_s > 0),
            *((f"{name!r} cannot be a name of Google Cloud", not _NAME.fullmatch(name)) for name in names),
        ):
            if wrong:
                message = f"the discovery strategy 'gcp': {problem}"
                raise ConfigurationError(message)


class _Access(msgspec.Struct, rename="camel"):
    nat_ip: Annotated[str, msgspec.Meta(max_length=100)] = msgspec.field(name="natIP", default="")
    external_ipv6: str = ""


class _Interface(msgspec.Struct, rename="camel"):
    network_ip: str = msgspec.field(name="networkIP", default="")
    ipv6_address: str = ""
    access_configs: tuple[_Access, ...] = ()
    ipv6_access_configs: tuple[_Access, ...] = ()


class _Instance(msgspec.Struct, rename="camel"):
    self_link: str
    status: str
    labels: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    network_interfaces: tuple[_Interface, ...] = ()


class GcpStrategy(DiscoveryStrategy):
    """List instances through the REST API, with the token of this machine's service account."""

    Options: ClassVar[type[GcpOptions]] = GcpOptions

    def __init__(self, options: GcpOptions | None = None) -> None:
        """Connect to nothing yet; raises ConfigurationError."""
        self._options = options or GcpOptions()
        need_client()
        self.poll_interval_s = self._options.poll_interval_s
        self._api: GoogleApi | None = None
        self._project = self._options.project

    async def lookup(self) -> Iterable[Peer]:
        """Return a peer for each running instance; raises DiscoveryError that names what is missing."""
        options = self._options
        api = self._api = self._api or GoogleApi(options.api_url, options.metadata_url, options.timeout_s)
        self._project = self._project or await api.metadata("project/project-id")
        if not _NAME.fullmatch(self._project):
            message = f"{self._project[:100]!r} is no id of a project; set the option 'project'"
            raise ConfigurationError(message)
        root = f"/compute/v1/projects/{self._project}"
        members = await _members(api, root, options) if options.instance_group else None
        if members is not None and not members:
            return ()
        found: dict[Peer, None] = {}
        async for entry in _instances(api, root, options):
            try:
                instance = msgspec.convert(entry, _Instance)
            except msgspec.ValidationError:
                continue
            if instance.status == RUNNING and (members is None or _path(instance.self_link) in members):
                found |= dict.fromkeys(_peers(instance, options))
        return tuple(found)

    async def stop(self) -> None:
        """Close the connections."""
        api, self._api = self._api, None
        if api is not None:
            await api.close()


async def _members(api: GoogleApi, root: str, options: GcpOptions) -> set[str]:
    """Return the paths of the instances in the group."""
    place = f"regions/{options.region}" if options.region else f"zones/{options.zones[0]}"
    kind = f"compute#{'regionInstanceGroups' if options.region else 'instanceGroups'}ListInstances"
    path = f"{root}/{place}/instanceGroups/{options.instance_group}/listInstances"
    pages = api.pages("POST", path, kind, LIST_GROUP, {"instanceState": RUNNING}, maxResults=AT_ONCE)
    return {
        _path(item["instance"])
        async for page in pages
        for item in _list(page.get("items", []))
        if isinstance(item, dict) and isinstance(item.get("instance"), str)
    }


async def _instances(api: GoogleApi, root: str, options: GcpOptions) -> AsyncIterator[Any]:
    terms = [f'(labels.{key} = "{value}")' for key, value in options.labels.items()]
    chosen = " AND ".join([*terms, f'(status = "{RUNNING}")'])
    if options.zones:
        for zone in options.zones:
            path = f"{root}/zones/{zone}/instances"
            async for page in api.pages("GET", path, "compute#instanceList", LIST, filter=chosen, maxResults=AT_ONCE):
                for entry in _list(page.get("items", [])):
                    yield entry
        return
    # A zone that is out of order must not hide the others.
    parameters = {"filter": chosen, "maxResults": AT_ONCE, "returnPartialSuccess": "true"}
    path = f"{root}/aggregated/instances"
    async for page in api.pages("GET", path, "compute#instanceAggregatedList", LIST, **parameters):
        places = page.get("items", {})
        for place in places.values() if isinstance(places, dict) else ():
            for entry in _list(place.get("instances", []) if isinstance(place, dict) else []):
                yield entry


def _list(found: Any) -> list[Any]:  # noqa: ANN401 - decoded JSON
    if not isinstance(found, list):
        message = "Google Cloud answers with what is no list of instances; check 'api_url'"
        raise DiscoveryError(message)
    return found


def _path(link: str) -> str:
    """Return what two links to one instance have in common, whatever the host and version in them."""
    return link[link.find("/projects/") :]


def _peers(instance: _Instance, options: GcpOptions) -> Iterable[Peer]:
    text = instance.labels.get(options.port_label or "", "")
    is_port = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_PORT))
    port = int(text) if is_port else options.port
    hosts = dict.fromkeys(host for interface in instance.network_interfaces for host in _hosts(interface, options))
    addresses = tuple(format_address(host, port) for host in hosts if host)
    try:
        return (checked_peer(Peer(addresses)),) if addresses else ()
    except (ConfigurationError, TypeError):
        return ()


def _hosts(interface: _Interface, options: GcpOptions) -> Iterable[str]:
    if options.ip_type == "private":
        return (interface.network_ip,)
    if options.ip_type == "public":
        return [access.nat_ip for access in interface.access_configs]
    return (interface.ipv6_address, *(access.external_ipv6 for access in interface.ipv6_access_configs))


Strategy = GcpStrategy
