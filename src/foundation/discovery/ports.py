"""The port to dial where a source names hosts alone."""

from __future__ import annotations

from foundation.discovery.peers import MOST_PORT, Announcement, parse_address
from foundation.errors import ConfigurationError


def check_port(port: int | None, option: str) -> int | None:
    """Return ``port`` when it can be one, else raise ConfigurationError."""
    if port is not None and not 0 < port <= MOST_PORT:
        message = f"the option {option!r} must be a port from 1 to {MOST_PORT}, not {port}"
        raise ConfigurationError(message)
    return port


def port_or_own(port: int | None, option: str, announcement: Announcement) -> int:
    """Return ``port``, or that of this node's own door, which is then the same on all nodes."""
    found = own_port(announcement) if port is None else port
    if found is None:
        message = f"this node has no port of its own that others could have too; set the option {option!r}"
        raise ConfigurationError(message)
    return found


def own_port(announcement: Announcement) -> int | None:
    """Return the port that this node's door has, or would have if it were no observer beside another node."""
    if announcement.port is not None or not announcement.addresses:
        return announcement.port
    return parse_address(announcement.addresses[0])[1]
