"""What is known about one node of the cluster. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from foundation.core.identity import NodeId
from foundation.errors import CodecError

_MOST_FACTS_BYTES = 16 << 10
_MOST_INCARNATIONS = 1 << 31
"""Whoever is given up comes back with one more, and that must still fit into 32 bits."""


class MemberStatus(StrEnum):
    """The stations of a member.

    ::

        joining ──▶ up ──▶ leaving ──▶ left
           ▲         │ ▲
           │         ▼ │
           │     unreachable ──▶ down
           └──────────────────────┘   with a higher incarnation
    """

    JOINING = "joining"
    UP = "up"
    LEAVING = "leaving"
    LEFT = "left"
    UNREACHABLE = "unreachable"
    DOWN = "down"


class Suspicion(msgspec.Struct, frozen=True, array_like=True):
    """One node's opinion that it cannot reach another one, with what a third needs to try for itself."""

    node: NodeId
    incarnation: int
    name: str
    addresses: tuple[str, ...] = ()


class Farewell(msgspec.Struct, frozen=True, array_like=True):
    """One node's word that a member is gone: ``status`` is ``down`` or ``left``."""

    node: NodeId
    incarnation: int
    status: MemberStatus


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, weakref=True, rename={"wire_names": "wires"}):
    """What a node says about itself; it travels with its presence."""

    name: str
    status: MemberStatus
    incarnation: int = 1
    addresses: tuple[str, ...] = ()
    version: str = ""
    roles: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    wire_names: tuple[str, ...] = ()
    processes: int = 0
    observer: bool = False
    draining: bool = False
    unreachable: tuple[Suspicion, ...] = ()
    gone: tuple[Farewell, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One node as this node sees it now."""

    node_id: NodeId
    name: str
    status: MemberStatus
    incarnation: int = 1
    addresses: tuple[str, ...] = ()
    version: str = ""
    roles: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    wire_names: frozenset[str] = frozenset()
    processes: int = 0
    """How many processes it runs, as it last told."""

    draining: bool = False
    """It has handed over what it ran on behalf of all, and takes nothing of that kind."""

    degraded: bool = False
    """Its event loop stands still: it answers nobody at the moment and is given no new work."""

    def __str__(self) -> str:
        """Print the name; two nodes may share one, then the id tells them apart."""
        return self.name

    @classmethod
    def from_facts(cls, node: NodeId, facts: Facts, **changes: Any) -> Member:  # noqa: ANN401 - any field
        """Describe a node by its own word."""
        known: dict[str, Any] = {
            "name": facts.name,
            "status": facts.status,
            "incarnation": facts.incarnation,
            "addresses": facts.addresses,
            "version": facts.version,
            "roles": facts.roles,
            "metadata": facts.metadata.copy(),
            "wire_names": _set_of(facts.wire_names),
            "processes": facts.processes,
            "draining": facts.draining,
        }
        return cls(node, **(known | changes))


@lru_cache(maxsize=256)
def _set_of(wire_names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(wire_names)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Facts)
_READ: WeakValueDictionary[bytes, Facts] = WeakValueDictionary()
"""Facts that somebody in this program holds: of a thousand nodes that are simulated, all hold those of all others."""
_PRESENT = {MemberStatus.JOINING, MemberStatus.UP, MemberStatus.LEAVING}
_GONE = {MemberStatus.DOWN, MemberStatus.LEFT}


def encode_facts(facts: Facts) -> bytes:
    """Write facts for the wire; more than 16 KB is a :class:`CodecError`."""
    encoded = _encode(facts)
    if len(encoded) > _MOST_FACTS_BYTES:
        message = (
            f"the facts of this node have {len(encoded)} bytes, more than {_MOST_FACTS_BYTES}: shorten its metadata"
        )
        raise CodecError(message)
    return encoded


def decode_facts(data: bytes) -> Facts:
    """Read facts from the wire; what a node cannot truly say is a :class:`CodecError`."""
    if (known := _READ.get(data)) is not None:
        return known
    try:
        facts = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        message = f"not the facts of a node: {error}"
        raise CodecError(message) from error
    if facts.status not in _PRESENT or not 0 < facts.incarnation <= _MOST_INCARNATIONS:
        message = f"a node cannot say of itself that it is {facts.status}, incarnation {facts.incarnation}"
        raise CodecError(message)
    if any(said.status not in _GONE or not 0 < said.incarnation < _MOST_INCARNATIONS for said in facts.gone):
        message = "a farewell to somebody who cannot be gone"
        raise CodecError(message)
    _READ[data] = facts
    return facts
