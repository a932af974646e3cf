"""The key space inside a cluster, as a grammar.

::

    presence/<node>/<version>/<facts>     a liveliness token: the node is there, and these are its facts
    stuck/<node>                          a liveliness token: the event loop of the node stands still
    frames/<receiver>                     packets for one node; each put begins with its sender
    topics/<topic>                        what is published

The cluster itself is the namespace in front of all of them, so clusters that share a network do not mix.
"""

from __future__ import annotations

import base64
import binascii
import re
from sys import intern
from typing import NamedTuple

from foundation.core.identity import NodeId
from foundation.errors import CodecError, ConfigurationError

PRESENCE = "presence/**"
STUCK = "stuck/*"
_NODE = re.compile(r"[1-9a-f][0-9a-f]{0,31}")
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MOST_FACTS = 32 << 10
_SEGMENT = re.compile(r"\*\*?|[^@$?#*/][^$?#*/]*")
_VERSION = re.compile(r"[0-9]{1,18}")


class Presence(NamedTuple):
    """What one liveliness token says."""

    node: NodeId
    version: int
    facts: bytes


def namespace(cluster: str) -> str:
    """Return the namespace of a cluster, or raise when its name cannot be one."""
    if _CLUSTER.fullmatch(cluster) is None:
        message = (
            f"the cluster name {cluster!r} cannot be used: take 1 to 64 letters, digits, dots, dashes or underscores,"
            " a letter or digit first"
        )
        raise ConfigurationError(message)
    return f"foundation/{cluster}"


def presence(token: Presence) -> str:
    """Write a token as a key."""
    facts = base64.urlsafe_b64encode(token.facts).decode().rstrip("=")
    return f"presence/{token.node}/{token.version}/{facts or '-'}"


def parse_presence(key: str) -> Presence:
    """Read a token from its key; anything else is a :class:`CodecError`."""
    match key.split("/"):
        case ["presence", node, version, facts] if _NODE.fullmatch(node) and _VERSION.fullmatch(version):
            return Presence(NodeId(intern(node)), int(version), _decode(facts))
        case _:
            message = f"not a presence token: {key[:80]!r}"
            raise CodecError(message)


def stuck(node: NodeId) -> str:
    """Return the token of a node whose loop stands still."""
    return f"stuck/{node}"


def parse_stuck(key: str) -> NodeId:
    """Read which node stands still; anything else is a :class:`CodecError`."""
    node = key.rpartition("/")[2]
    if _NODE.fullmatch(node) is None:
        message = f"not a token of a node: {key[:80]!r}"
        raise CodecError(message)
    return NodeId(node)


def frames(receiver: NodeId) -> str:
    """Return the key under which all send frames to a node.

    It holds no wildcard and nothing of the sender: the engine keeps the route of an exact key, else it looks for one at
    each put, at both ends.
    """
    return f"frames/{receiver}"


def topic(name: str) -> str:
    """Return the key of a topic; ``name`` may hold the wildcards ``*`` (one segment) and ``**`` (any number)."""
    if any(_SEGMENT.fullmatch(segment) is None for segment in name.split("/")) or "**/*" in name:
        message = (
            f"the topic {name!r} cannot be used: no empty segments, none of the characters $ ? #, no @ first in a"
            " segment, and * or ** only as a whole segment, ** last among wildcards in a row"
        )
        raise ConfigurationError(message)
    return f"topics/{name}"


def parse_topic(key: str) -> str:
    """Return the name of the topic that a key stands for."""
    return key.removeprefix("topics/")


def _decode(text: str) -> bytes:
    if text == "-":
        return b""
    if len(text) > _MOST_FACTS:
        message = f"facts of {len(text)} characters, more than {_MOST_FACTS}"
        raise CodecError(message)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"facts that are not base64: {text[:40]!r}"
        raise CodecError(message) from error
