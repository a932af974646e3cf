"""Find peers among the instances of EC2 with a tag, and among the tasks of ECS.

Consistency: the answers of both are complete for the moment of asking, and eventually consistent with what was just
started; an instance or task is listed while it runs, whether or not a node answers there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from foundation.core.sources import clock
from foundation.discovery.aws_errors import explain, is_about_credentials
from foundation.discovery.extras import missing_extra
from foundation.discovery.instance_metadata import InstanceMetadata
from foundation.discovery.own_thread import OwnThread
from foundation.discovery.peers import MOST_PORT, Peer, checked_peer, format_address
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

TASKS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """Which instances and tasks run nodes. Credentials come from where boto3 finds them."""

    port: int = 0
    """The port of the door (FOUNDATION_PORT) on all nodes, or on those without ``port_tag``."""

    port_tag: str | None = None
    """The tag of instances that holds the port of each, where they differ."""

    tag_name: str | None = None
    """Take the instances that have this tag."""

    tag_value: str | None = None
    """The value that it must have; None takes the value that this instance has."""

    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """More filters of DescribeInstances, each a name with values, of which one must match."""

    ip_type: Literal["private", "public", "ipv6"] = "private"
    """Which address of an instance or task to dial."""

    region: str | None = None
    """Where to look; None takes AWS_REGION, AWS_DEFAULT_REGION, the profile's region, or this instance's."""

    profile: str | None = None
    """The profile in the user's AWS files; None takes AWS_PROFILE, or the default."""

    ecs_cluster: str | None = None
    """Take the running tasks of this cluster, by name or ARN; they must have network interfaces (`awsvpc`)."""

    ecs_services: tuple[str, ...] = ()
    """The services whose tasks count; empty takes all tasks of the cluster."""

    endpoint_url: str | None = None
    """Where EC2 and ECS are; None takes those of the region."""

    metadata_url: str | None = None
    """Where the instance's metadata service is; None takes the address that every instance has."""

    timeout_s: float = 4.0
    """Seconds that one lookup may take, and connecting and each answer too; less notices a fault sooner."""

    poll_interval_s: float | None = 5.0
    """Seconds between two lookups; less finds nodes sooner, more spares the limits that AWS sets on requests."""

    def __post_init__(self) -> None:
        """Refuse what cannot find anybody."""
        for problem, wrong in (
            ("set 'tag_name' or 'filters' for EC2, or 'ecs_cluster' for ECS", not (self.by_ec2 or self.ecs_cluster)),
            ("'tag_value' needs 'tag_name'", self.tag_value is not None and not self.tag_name),
            ("'ecs_services' needs 'ecs_cluster'", bool(self.ecs_services) and not self.ecs_cluster),
            ("set 'port' to the nodes' FOUNDATION_PORT, or 'port_tag'", not (self.port or self.port_tag)),
            (f"port {self.port}: take one from 1 to {MOST_PORT}", not 0 <= self.port <= MOST_PORT),
            ("timeout_s must be more than 0", not self.timeout_s > 0),
        ):
            if wrong:
                message = f"the discovery strategy 'aws': {problem}"
                raise ConfigurationError(message)

    @property
    def by_ec2(self) -> bool:
        """Whether instances are asked for."""
        return bool(self.tag_name or self.filters)


class AwsStrategy(DiscoveryStrategy):
    """Ask DescribeInstances, and ListTasks with DescribeTasks, in a thread."""

    Options: ClassVar[type[AwsOptions]] = AwsOptions

    def __init__(self, options: AwsOptions | None = None) -> None:
        """Connect to nothing yet; raises ConfigurationError."""
        self._options = options or AwsOptions()
        self.poll_interval_s = self._options.poll_interval_s
        self._thread = OwnThread("discovery by aws")
        self._clients: dict[str, Any] = {}
        self._session: Any = None
        self._tag_value = self._options.tag_value
        self._region: str | None = None
        self._deadline = 0.0

    async def lookup(self) -> Iterable[Peer]:
        """Return a peer for each running instance and task; raises DiscoveryError that names what is missing."""
        return await self._thread.call(self._find)

    def _find(self) -> list[Peer]:
        self._deadline = clock().now() + self._options.timeout_s
        try:
            instances = self._instances() if self._options.by_ec2 else ()
            tasks = self._tasks() if self._options.ecs_cluster else ()
            return list(dict.fromkeys((*instances, *tasks)))
        except (DiscoveryError, ConfigurationError):
            raise
        except Exception as error:
            if (known := explain(error)) is None:
                raise
            if is_about_credentials(error):  # which may be renewed where the session looked for them
                self._close()
                self._session = None
            raise known from error

    async def stop(self) -> None:
        """Close the connections."""
        self._close()

    def _close(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _client(self, service: str) -> Any:  # noqa: ANN401 - made at run time, from the service's description
        if (known := self._clients.get(service)) is not None:
            return known
        try:
            import boto3.session  # noqa: PLC0415 - an extra, and slow to import
            from botocore.config import Config  # noqa: PLC0415
        except ImportError as error:
            missing = missing_extra("aws", "boto3")
            raise missing from error
        options = self._options
        session: Any = self._session or boto3.session.Session(profile_name=options.profile)
        self._session = session
        self._region = self._region or self._find_region(session.region_name)
        # The framework retries, and knows how long it has waited already.
        made = self._clients[service] = session.client(
            service,
            region_name=self._region,
            endpoint_url=options.endpoint_url,
            config=Config(
                connect_timeout=options.timeout_s, read_timeout=options.timeout_s, retries={"total_max_attempts": 1}
            ),
        )
        return made

    def _find_region(self, of_profile: str | None) -> str:
        return self._options.region or os.environ.get("AWS_REGION") or of_profile or self._metadata().region()

    def _metadata(self) -> InstanceMetadata:
        return InstanceMetadata(self._options.metadata_url, min(1.0, self._options.timeout_s))

    def _pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Any]:  # noqa: ANN401
        """Yield what the pages of an operation have under ``key``."""
        for page in self._client(service).get_paginator(operation).paginate(**arguments):
            if not isinstance(page.get(key), list):
                message = f"AWS answers {service}:{operation} without {key}"
                raise DiscoveryError(message)
            yield from page[key]
            if clock().now() > self._deadline:
                message = (
                    f"AWS needs more than {self._options.timeout_s:g} s for {service}:{operation}; raise 'timeout_s'"
                )
                raise DiscoveryError(message)

    def _instances(self) -> Iterator[Peer]:
        options = self._options
        filters = {"instance-state-name": ("running",)} | dict(options.filters)
        if options.tag_name:
            self._tag_value = self._tag_value if self._tag_value is not None else self._own_tag(options.tag_name)
            filters[f"tag:{options.tag_name}"] = (self._tag_value,)
        asked = [{"Name": name, "Values": list(values)} for name, values in filters.items()]
        for reservation in self._pages("ec2", "describe_instances", "Reservations", Filters=asked):
            for instance in reservation.get("Instances", ()):
                yield from _peer(_instance_addresses(instance, options.ip_type), self._port_of(instance))

    def _own_tag(self, name: str) -> str:
        metadata = self._metadata()
        if (found := metadata.tag(name)) is not None:
            return found
        mine = metadata.instance_id()
        for reservation in self._pages("ec2", "describe_instances", "Reservations", InstanceIds=[mine]):
            for instance in reservation.get("Instances", ()):
                if (value := _tags(instance).get(name)) is not None:
                    return value
        message = f"this instance ({mine}) has no tag {name!r}; give it one, or set the option 'tag_value'"
        raise DiscoveryError(message)

    def _port_of(self, instance: Mapping[str, Any]) -> int:
        text = _tags(instance).get(self._options.port_tag or "", "")
        return (
            int(text)
            if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_PORT))
            else self._options.port
        )

    def _tasks(self) -> Iterator[Peer]:
        options = self._options
        for service in options.ecs_services or (None,):
            chosen = {"serviceName": service} if service else {}
            arns = list(
                self._pages(
                    "ecs", "list_tasks", "taskArns", cluster=options.ecs_cluster, desiredStatus="RUNNING", **chosen
                )
            )
            for first in range(0, len(arns), TASKS_AT_ONCE):
                answer = self._client("ecs").describe_tasks(
                    cluster=options.ecs_cluster, tasks=arns[first : first + TASKS_AT_ONCE]
                )
                yield from self._described(answer.get("tasks") or ())

    def _described(self, tasks: Sequence[Mapping[str, Any]]) -> Iterator[Peer]:
        running = [task for task in tasks if task.get("lastStatus") == "RUNNING"]
        if self._options.ip_type != "public":
            for task in running:
                yield from _peer(_task_details(task, _TASK_FIELD[self._options.ip_type]), self._options.port)
            return
        interfaces = [name for task in running for name in _task_details(task, "networkInterfaceId")]
        if interfaces:
            asked = self._pages(
                "ec2", "describe_network_interfaces", "NetworkInterfaces", NetworkInterfaceIds=interfaces
            )
            for interface in asked:
                yield from _peer([interface.get("Association", {}).get("PublicIp")], self._options.port)


_TASK_FIELD = {"private": "privateIPv4Address", "ipv6": "privateIPv6Address"}


def _instance_addresses(instance: Mapping[str, Any], ip_type: str) -> list[str | None]:
    if ip_type == "private":
        return [instance.get("PrivateIpAddress")]
    if ip_type == "public":
        return [instance.get("PublicIpAddress")]
    found: list[str | None] = [instance.get("Ipv6Address")]
    for interface in instance.get("NetworkInterfaces", ()):
        found += [address.get("Ipv6Address") for address in interface.get("Ipv6Addresses", ())]
    return found


def _task_details(task: Mapping[str, Any], name: str) -> list[str | None]:
    return [
        detail.get("value")
        for attachment in task.get("attachments", ())
        if attachment.get("type") in ("ElasticNetworkInterface", "eni")
        for detail in attachment.get("details", ())
        if detail.get("name") == name
    ]


def _tags(instance: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ()) if "Key" in tag and "Value" in tag}


def _peer(hosts: Iterable[str | None], port: int) -> Iterator[Peer]:
    """Yield the peer with these addresses; none where there is nothing that can be dialed."""
    addresses = tuple(dict.fromkeys(format_address(host, port) for host in hosts if host))
    if addresses:
        try:
            yield checked_peer(Peer(addresses))
        except (ConfigurationError, TypeError):
            return


Strategy = AwsStrategy
