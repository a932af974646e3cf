"""How a node is written into a store that others read: as JSON, decoded strictly, nonsense left out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from foundation.core.identity import NodeId
from foundation.discovery.peers import Announcement, Peer, checked_peer
from foundation.errors import ConfigurationError

MOST_BYTES = 64 * 1024


def write_announcement(announcement: Announcement) -> bytes:
    """Return what to store for the node."""
    return msgspec.json.encode(announcement)


def read_announcement(node: str, content: bytes | str, cluster: str) -> Peer | None:
    """Return the peer stored under the identity ``node``, or None: nonsense, or a node of another cluster."""
    if len(content) > MOST_BYTES:
        return None
    try:
        other = _decoder.decode(content)
        peer = checked_peer(Peer(other.addresses, NodeId(node), other.name))
    except (msgspec.MsgspecError, ConfigurationError, TypeError, UnicodeError):
        return None
    return peer if other.cluster == cluster and other.node == node else None


def read_announcements(stored: Iterable[tuple[str, bytes | str]], me: Announcement) -> tuple[Peer, ...]:
    """Return the other nodes of this node's cluster among pairs of identity and content."""
    found = (read_announcement(node, content, me.cluster) for node, content in stored if node != me.node)
    return tuple(peer for peer in found if peer is not None)


_decoder = msgspec.json.Decoder(Announcement)
