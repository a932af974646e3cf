"""Read what the API of Kubernetes says about pods, and make peers of it: a function of data.

What cannot be read is left out; what is beside it is not. A pod that is not ready, or is terminating, is a peer too: it
still serves, holds names and children, and has to be reached until it says goodbye itself. One that has ended is none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from foundation.discovery.peers import Peer, checked_peer, format_address
from foundation.errors import ConfigurationError

DEFAULT_PORT_NAME = "foundation"
Mode = Literal["ip", "hostname", "dns"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """How pods become addresses."""

    mode: Mode
    """By IP address, by the host name that a service gives, or by the name that DNS has for the IP address."""

    port: int | str | None
    """The number or the name of the port; None takes the one named ``foundation``, else ``own_port``."""

    own_port: int | None
    """The port of this node, where it has one."""

    namespace: str
    """Where the pods are."""

    service: str | None
    """The headless service that names them; None takes the one that they name themselves."""

    domain: str
    """The domain of the cluster."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that may be a node: who it is, and where."""

    key: str
    """What is the same for the same pod in all objects that mention it."""

    addresses: tuple[str, ...]
    """Where its door may be; empty where no port of the name that was asked for is known."""


class Metadata(msgspec.Struct, rename="camel"):
    """What every object has."""

    name: str
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None


class Head(msgspec.Struct):
    """An object of which nothing else is read."""

    metadata: Metadata


class _Target(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Endpoint(msgspec.Struct, rename="camel"):
    addresses: list[str]
    hostname: str | None = None
    target_ref: _Target | None = None


class _SlicePort(msgspec.Struct):
    name: str | None = None
    port: int | None = None


class _Slice(msgspec.Struct):
    metadata: Metadata
    endpoints: list[msgspec.Raw] | None = None
    ports: list[_SlicePort] | None = None


class _ContainerPort(msgspec.Struct, rename="camel"):
    container_port: int
    name: str | None = None


class _Container(msgspec.Struct):
    ports: list[_ContainerPort] | None = None


class _PodSpec(msgspec.Struct, rename="camel"):
    containers: list[_Container]
    init_containers: list[_Container] | None = None
    hostname: str | None = None
    subdomain: str | None = None


class _PodIp(msgspec.Struct):
    ip: str = ""


class _PodStatus(msgspec.Struct, rename={"pod_ip": "podIP", "pod_ips": "podIPs"}):
    phase: str = ""
    pod_ip: str | None = None
    pod_ips: list[_PodIp] | None = None


class _Pod(msgspec.Struct):
    metadata: Metadata
    spec: _PodSpec
    status: _PodStatus


_slices = msgspec.json.Decoder(_Slice)
_endpoints = msgspec.json.Decoder(_Endpoint)
_pods = msgspec.json.Decoder(_Pod)
_heads = msgspec.json.Decoder(Head)

SERVICE_LABEL = "kubernetes.io/service-name"
ENDED = ("Succeeded", "Failed")


def read_head(content: bytes | msgspec.Raw) -> Metadata | None:
    """Return the metadata of an object, or None for what is none."""
    head = _decoded(_heads, content)
    return head.metadata if head else None


def pods_of_slice(content: bytes | msgspec.Raw, reading: Reading) -> tuple[Pod, ...]:
    """Return the pods behind an EndpointSlice, whatever their condition."""
    read = _decoded(_slices, content)
    if read is None:
        return ()
    port = _port(((each.name, each.port) for each in read.ports or ()), reading)
    service = reading.service or (read.metadata.labels or {}).get(SERVICE_LABEL)
    pods: list[Pod] = []
    for raw in read.endpoints or ():
        endpoint = _decoded(_endpoints, raw)
        if endpoint is None or not endpoint.addresses:
            continue
        target = endpoint.target_ref or _Target()
        # Of the addresses of an endpoint, all but the first are for nobody to use, says the API.
        pod = _pod(
            target.uid or target.name,
            endpoint.addresses[:1],
            host_name(endpoint.hostname, service, reading),
            port,
            reading,
        )
        pods += (pod,) if pod else ()
    return tuple(pods)


def pods_of_pod(content: bytes | msgspec.Raw, reading: Reading) -> tuple[Pod, ...]:
    """Return the pod that an object describes, or nothing when it has ended or has no address yet."""
    read = _decoded(_pods, content)
    if read is None or read.status.phase in ENDED:
        return ()
    containers = [*read.spec.containers, *(read.spec.init_containers or ())]
    ports = ((each.name, each.container_port) for container in containers for each in container.ports or ())
    ips = [each.ip for each in read.status.pod_ips or ()] or [read.status.pod_ip or ""]
    host = host_name(read.spec.hostname, reading.service or read.spec.subdomain, reading)
    pod = _pod(read.metadata.uid or read.metadata.name, [ip for ip in ips if ip], host, _port(ports, reading), reading)
    return (pod,) if pod else ()


def peers_of(pods: Iterable[Pod]) -> frozenset[Peer]:
    """Return a peer for each pod, with the addresses of all objects that mention it."""
    addresses: dict[str, dict[str, None]] = {}
    for pod in pods:
        addresses.setdefault(pod.key, {}).update(dict.fromkeys(pod.addresses))
    return frozenset(Peer(tuple(sorted(found, key=_ipv6_last))) for found in addresses.values() if found)


def host_name(hostname: str | None, service: str | None, reading: Reading) -> str | None:
    """Return the name that DNS has for a pod of a service, where it has one."""
    return f"{hostname}.{service}.{reading.namespace}.svc.{reading.domain}" if hostname and service else None


def _pod(key: str, ips: list[str], host: str | None, port: int | None, reading: Reading) -> Pod | None:
    """Return the pod when it has an address that can be dialed, or no known port; None for nonsense."""
    hosts = [host] if reading.mode == "hostname" and host else list(_named(ips, reading))
    if not hosts or port is None:
        return Pod(key or "?", ()) if hosts else None
    try:
        peer = checked_peer(Peer(tuple(format_address(each, port) for each in hosts)))
    except (ConfigurationError, TypeError):
        return None
    return Pod(key or peer.addresses[0], peer.addresses)


def _named(ips: Iterable[str], reading: Reading) -> Iterator[str]:
    for ip in ips:
        try:
            parsed = ipaddress.ip_address(ip)
        except ValueError:
            continue
        if reading.mode == "dns":
            yield f"{str(parsed).replace('.', '-').replace(':', '-')}.{reading.namespace}.pod.{reading.domain}"
        else:
            yield str(parsed)


def _port(ports: Iterable[tuple[str | None, int | None]], reading: Reading) -> int | None:
    if isinstance(reading.port, int):
        return reading.port
    named = {name: number for name, number in ports if number}
    if reading.port is None:
        return named.get(DEFAULT_PORT_NAME) or reading.own_port
    return named.get(reading.port)


def _ipv6_last(address: str) -> tuple[bool, str]:
    return address.startswith("["), address


def _decoded(decoder: msgspec.json.Decoder[T], content: bytes | msgspec.Raw) -> T | None:
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeError):
        return None
