"""The network interfaces of this machine that can take part in multicast."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

import ifaddr

from foundation.errors import DiscoveryError


def multicast_interfaces(wanted: Iterable[str], group: str, what: str = "multicast") -> list[str]:
    """Return which addresses out of ``wanted`` (empty: all of IPv4) can join ``group``; DiscoveryError if none can."""
    usable: list[str] = []
    failure = "this machine has no network interface"
    for address in wanted or _all_addresses():
        try:
            _try_to_join(address, group)
        except OSError as error:
            failure = f"{address} cannot join {group}: {error.strerror or error}"
        else:
            usable.append(address)
    if not usable:
        message = f"{what} cannot be used: {failure}"
        raise DiscoveryError(message)
    return usable


def _all_addresses() -> list[str]:
    # A text is an address of IPv4, a tuple one of IPv6; several interfaces may share one.
    found = (address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips)
    return sorted({address for address in found if isinstance(address, str)})


def _try_to_join(address: str, group: str) -> None:
    if ":" in address:  # joined by interface number, which is the library's work
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        membership = struct.pack("4s4s", socket.inet_aton(group), socket.inet_aton(address))
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
