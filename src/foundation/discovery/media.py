"""Ways for datagrams from one to many: multicast, broadcast, or a list of targets."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import ifaddr

from foundation.discovery.interfaces import multicast_interfaces
from foundation.discovery.peers import parse_address
from foundation.errors import DiscoveryError

_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
"""Of Linux: whether a socket also hears groups that others on the machine have joined."""


class Medium(ABC):
    """Open a socket and send from it to everybody there."""

    def __init__(self, port: int) -> None:
        """Open nothing yet."""
        self._port = port

    @abstractmethod
    def open(self) -> socket.socket:
        """Return a bound socket that does not block; raises OSError or DiscoveryError."""

    @abstractmethod
    async def send(self, outlet: socket.socket, make: Callable[[], bytes]) -> None:
        """Send a datagram that ``make`` makes for each way there is; raises OSError if not even one is open."""

    def refresh(self, outlet: socket.socket) -> None:  # noqa: B027 - optional
        """Follow the machine to the networks that it has now; raises DiscoveryError if there are none."""


class Multicast(Medium):
    """A group of IPv4 or IPv6, on some or all interfaces."""

    def __init__(
        self, port: int, *, group: str, interfaces: Sequence[str], ttl: int, loop: bool, bind: str | None
    ) -> None:
        """Take ``interfaces`` by address, or with IPv6 by name; empty means all, ``bind`` None the group itself."""
        super().__init__(port)
        self._group = group
        self._wanted = tuple(interfaces)
        self._ttl = ttl
        self._loop = loop
        self._bind = bind
        self._is_ipv6 = ":" in group
        self._interfaces: dict[str | int, bytes] = {}

    def open(self) -> socket.socket:
        """See :meth:`Medium.open`."""
        opened = _new_socket(socket.AF_INET6 if self._is_ipv6 else socket.AF_INET, shared=True)
        try:
            level = socket.IPPROTO_IPV6 if self._is_ipv6 else socket.IPPROTO_IP
            hops, loop = (
                (socket.IPV6_MULTICAST_HOPS, socket.IPV6_MULTICAST_LOOP)
                if self._is_ipv6
                else (socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_LOOP)
            )
            opened.setsockopt(level, hops, self._ttl)
            opened.setsockopt(level, loop, int(self._loop))
            if sys.platform == "linux":
                opened.setsockopt(level, _IPV6_MULTICAST_ALL if self._is_ipv6 else _IP_MULTICAST_ALL, 0)
            opened.bind(self._place())
            self.refresh(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def _place(self) -> tuple[Any, ...]:
        """Return where to bind: what is bound to the group hears nothing else, but not all systems can do that."""
        can = sys.platform == "linux"
        if not self._is_ipv6:
            return (self._bind or (self._group if can else "0.0.0.0"), self._port)  # noqa: S104 - authenticated
        indexes = _ipv6_interfaces(self._wanted)
        if self._bind is None and can and len(indexes) == 1:
            return (self._group, self._port, 0, indexes[0])  # a group of the link is one only on its interface
        return (self._bind or "::", self._port)

    def _find(self) -> dict[str | int, bytes]:
        if self._is_ipv6:
            return {index: struct.pack("@I", index) for index in _ipv6_interfaces(self._wanted)}
        return {address: socket.inet_aton(address) for address in multicast_interfaces(self._wanted, self._group)}

    def refresh(self, outlet: socket.socket) -> None:
        """See :meth:`Medium.refresh`."""
        found = self._find()
        for gone in self._interfaces.keys() - found.keys():
            with contextlib.suppress(OSError):
                self._membership(outlet, self._interfaces[gone], join=False)
        joined = {name: self._interfaces[name] for name in self._interfaces.keys() & found.keys()}
        failure: OSError | None = None
        for name in found.keys() - joined.keys():
            try:
                self._membership(outlet, found[name], join=True)
            except OSError as error:
                failure = error
            else:
                joined[name] = found[name]
        self._interfaces = joined
        if not joined and failure is not None:
            raise failure

    async def send(self, outlet: socket.socket, make: Callable[[], bytes]) -> None:
        """See :meth:`Medium.send`."""
        level, option = (
            (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF)
            if self._is_ipv6
            else (socket.IPPROTO_IP, socket.IP_MULTICAST_IF)
        )
        ways = [
            _Way((self._group, self._port, *((0, name) if self._is_ipv6 else ())), (level, option, packed))
            for name, packed in self._interfaces.items()
        ]
        _send_all(outlet, make, ways)

    def _membership(self, outlet: socket.socket, interface: bytes, *, join: bool) -> None:
        if self._is_ipv6:
            option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
            outlet.setsockopt(socket.IPPROTO_IPV6, option, socket.inet_pton(socket.AF_INET6, self._group) + interface)
        else:
            option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
            outlet.setsockopt(socket.IPPROTO_IP, option, socket.inet_aton(self._group) + interface)


class Broadcast(Medium):
    """Everybody on the networks of IPv4 that the machine is on."""

    def __init__(self, port: int, *, interfaces: Sequence[str], bind: str | None) -> None:
        """Take ``interfaces`` by address; empty means all."""
        super().__init__(port)
        self._wanted = tuple(interfaces)
        self._bind = bind
        self._addresses: tuple[str, ...] = ()

    def open(self) -> socket.socket:
        """See :meth:`Medium.open`."""
        self._addresses = _broadcast_addresses(self._wanted)
        opened = _new_socket(socket.AF_INET, shared=True)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            # Who is bound to the only broadcast address hears nothing else.
            only = self._addresses[0] if len(self._addresses) == 1 and sys.platform == "linux" else ""
            opened.bind((self._bind or only, self._port))
        except BaseException:
            opened.close()
            raise
        return opened

    def refresh(self, outlet: socket.socket) -> None:  # noqa: ARG002 - nothing is joined
        """See :meth:`Medium.refresh`."""
        self._addresses = _broadcast_addresses(self._wanted)

    async def send(self, outlet: socket.socket, make: Callable[[], bytes]) -> None:
        """See :meth:`Medium.send`."""
        _send_all(outlet, make, [_Way((address, self._port)) for address in self._addresses])


class Targets(Medium):
    """Some hosts, each with its port; this machine's own port may be another."""

    def __init__(self, port: int, *, targets: Sequence[str], bind: str) -> None:
        """Take ``targets`` as ``host:port``, or a host alone, which has the same port; raises ConfigurationError."""
        super().__init__(port)
        self._targets = [parse_address(target, port) for target in targets]
        self._bind = bind
        self._family = socket.AF_INET6 if ":" in bind else socket.AF_INET

    def open(self) -> socket.socket:
        """See :meth:`Medium.open`."""
        opened = _new_socket(self._family, shared=False)
        try:
            opened.bind((self._bind, self._port))
        except BaseException:
            opened.close()
            raise
        return opened

    async def send(self, outlet: socket.socket, make: Callable[[], bytes]) -> None:
        """See :meth:`Medium.send`."""
        loop = asyncio.get_running_loop()
        ways: list[_Way] = []
        failure: OSError | None = None
        for host, port in self._targets:
            if _is_ip(host):
                ways.append(_Way((host, port)))
                continue
            try:
                found = await loop.getaddrinfo(host, port, family=self._family, type=socket.SOCK_DGRAM)
            except OSError as error:
                failure = OSError(error.errno, f"{host}: {error.strerror or error}")
            else:
                ways += [_Way(entry[4]) for entry in found]
        if not ways and failure is not None:
            raise failure
        _send_all(outlet, make, ways)


class _Way:
    def __init__(self, to: tuple[Any, ...], option: tuple[int, int, bytes] | None = None) -> None:
        self.to = to
        self.option = option


def _send_all(outlet: socket.socket, make: Callable[[], bytes], ways: Sequence[_Way]) -> None:
    """Send each way; raise the last failure if all fail. What the system has no room for is lost, as on a network."""
    sent, failure = 0, None
    for way in ways:
        try:
            if way.option is not None:
                outlet.setsockopt(*way.option)
            outlet.sendto(make(), way.to)
        except BlockingIOError:
            sent += 1
        except OSError as error:
            failure = error
        else:
            sent += 1
    if failure is not None and not sent:
        raise failure


def _new_socket(family: socket.AddressFamily, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.settimeout(0.0)
    if shared:  # by all nodes of the machine, each of which hears everything
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


def _broadcast_addresses(wanted: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            if isinstance(address.ip, str) and (not wanted or address.ip in wanted):
                network = ipaddress.ip_network(f"{address.ip}/{address.network_prefix}", strict=False)
                found[str(network.broadcast_address)] = None
    if not found:
        message = f"no network interface has {'one of the addresses ' + ', '.join(wanted) if wanted else 'an address'}"
        raise DiscoveryError(message)
    return tuple(found)


def _ipv6_interfaces(wanted: Sequence[str]) -> list[int]:
    found: set[int] = set()
    for adapter in ifaddr.get_adapters():
        addresses = {address.ip[0] for address in adapter.ips if isinstance(address.ip, tuple)}
        if adapter.index is not None and addresses and (not wanted or {adapter.name, *addresses} & set(wanted)):
            found.add(adapter.index)
    if not found:
        message = f"no network interface has {'the name or address ' + ', '.join(wanted) if wanted else 'IPv6'}"
        raise DiscoveryError(message)
    return sorted(found)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
