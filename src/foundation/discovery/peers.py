"""Who was found and who announces: plain data, and the checks for data that came from outside."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from foundation.core.identity import NodeId
from foundation.errors import ConfigurationError

MOST_ADDRESSES = 64
MOST_TEXT = 512
MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody to dial. An address is ``host:port`` of a door, the port where a node answers a handshake."""

    addresses: tuple[str, ...]
    """Where the door may be, in the order to try; IPv6 in brackets."""

    node: NodeId | None = None
    """Who answers there, where the strategy knows."""

    name: str | None = None
    """The readable name of the node, where the strategy knows."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What this node tells others about itself."""

    node: NodeId
    """Its identity."""

    name: str
    """Its readable name."""

    cluster: str
    """The cluster to which it belongs; other clusters are not listened to."""

    version: str
    """The version of the library that it runs."""

    addresses: tuple[str, ...]
    """Where its door is, as in :class:`Peer`."""

    port: int | None = None
    """The port of the doors of all nodes, where one is configured."""


def parse_address(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port`` (without a port where there is a default) or say what is wrong with it."""
    if not text or len(text) > MOST_TEXT or not text.isprintable() or " " in text or "/" in text:
        raise _wrong_address(text, "an address is host:port without a scheme, a path or spaces")
    host, port_text = _split(text)
    if not host:
        raise _wrong_address(text, "the host is missing")
    if not port_text:
        if default_port is None:
            raise _wrong_address(text, "the port is missing")
        return host, default_port
    decimal = port_text.isascii() and port_text.isdecimal() and len(port_text) <= len(str(MOST_PORT))
    if not decimal or not 0 < int(port_text) <= MOST_PORT:
        raise _wrong_address(text, "the port must be a number from 1 to 65535")
    return host, int(port_text)


def format_address(host: str, port: int) -> str:
    """Join what :func:`parse_address` splits."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def checked_peers(found: object, me: Announcement, most: int) -> frozenset[Peer]:
    """Return the peers in ``found`` but this node itself; raise TypeError or ValueError for nonsense."""
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        message = f"a lookup must return peers, not {type(found).__name__}"
        raise TypeError(message)
    peers = [checked_peer(peer) for peer in islice(cast("Iterable[object]", found), most + 1)]
    if len(peers) > most:
        message = f"a lookup returned more than {most} peers"
        raise ValueError(message)
    return frozenset(peer for peer in peers if not is_me(peer, me))


def checked_peer(peer: object) -> Peer:
    """Return ``peer`` when it is a peer that can be dialed, else raise TypeError or ValueError."""
    if type(peer) is not Peer:
        message = f"a lookup must return peers, not {type(peer).__name__}"
        raise TypeError(message)
    addresses: Any = peer.addresses
    if type(addresses) is not tuple or not 0 < len(peer.addresses) <= MOST_ADDRESSES:
        message = f"the addresses of a peer must be a tuple of 1 to {MOST_ADDRESSES} texts"
        raise TypeError(message)
    for text in (*peer.addresses, peer.node or "", peer.name or ""):
        if type(cast("object", text)) is not str or len(text) > MOST_TEXT:
            message = f"the texts of a peer must be texts of at most {MOST_TEXT} characters"
            raise TypeError(message)
    for address in peer.addresses:
        parse_address(address)
    return peer


def is_me(peer: Peer, me: Announcement) -> bool:
    """Tell whether ``peer`` is this node: by its identity, else because it has no address but ours."""
    if peer.node is not None:
        return peer.node == me.node
    return set(peer.addresses) <= set(me.addresses)


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise _wrong_address(text, "an IPv6 address with a port is written [address]:port")
        _check_ipv6(text, host)
        return host, rest[1:]
    if text.count(":") > 1:
        _check_ipv6(text, text)
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _check_ipv6(text: str, host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError as error:
        raise _wrong_address(text, "what looks like an IPv6 address is none") from error


def _wrong_address(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"the address {text[:100]!r} cannot be used: {why}")
