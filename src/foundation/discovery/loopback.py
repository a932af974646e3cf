"""Tell whether an address leads back to the machine that names it, and whose loopback interface that is."""

from __future__ import annotations

import hashlib
import ipaddress
import platform
import uuid
from pathlib import Path

from foundation.discovery.peers import parse_address


def loopback_id() -> str:
    """Return a text that is the same exactly for programs that share one loopback interface."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        network = str(Path("/proc/self/ns/net").readlink())  # containers on one host have each their own
    except OSError:
        boot, network = platform.node(), str(uuid.getnode())
    return hashlib.sha256(f"{boot} {network}".encode()).hexdigest()[:16]


def is_loopback(address: str) -> bool:
    """Tell whether a valid ``host:port`` can be reached from its own machine only."""
    host, _ = parse_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_ip(host: str) -> bool:
    """Tell whether a host is an address of IPv4 or IPv6, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
