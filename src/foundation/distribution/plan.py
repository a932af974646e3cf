"""What it takes to start a child anew on any node; it travels in the child's row, opaque to the registry."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from foundation.errors import ArgumentError, CodecError
from foundation.processes import Restart

Strategy = Literal["hash", "least_loaded", "random", "local"]
"""How a node is chosen: by the child's name, so that all nodes choose the same; by how many processes it runs; by
chance; the node that asks, or for one that has lost its node as with ``hash``."""


class Placement(Struct, array_like=True, frozen=True):
    """Where a child may run, and where of those it is to run."""

    strategy: str = "hash"
    """One of :data:`Strategy`, or ``module:function`` of a function ``(name, members) -> member`` that the nodes have
    imported: the home of the child's name calls it."""

    roles: tuple[str, ...] = ()
    """A node needs all of these."""

    metadata: dict[str, str] = {}
    """A node needs all of these in its metadata."""

    node: str | None = None
    """Nothing but the node with this name will do."""

    apart: str | None = None
    """Children that share this word go to different nodes as long as there are enough of them."""


class Plan(Struct, array_like=True, frozen=True):
    """How a child is started, and what is done when it ends."""

    arguments: bytes
    """Of the constructor, encoded."""

    keywords: dict[str, bytes] | None = None
    restart: Restart = "permanent"
    max_restarts: int = 3
    within_s: float = 5.0
    """More restarts than ``max_restarts`` in so many seconds on one node, and another one is to try."""

    placement: Placement = Placement()

    @property
    def constructor(self) -> tuple[Raw, dict[str, Raw] | None]:
        """The arguments and keywords, as a host takes them."""
        return Raw(self.arguments), {key: Raw(value) for key, value in (self.keywords or {}).items()} or None

    siblings: int = 0
    """How many children share its name, of which it is one: ``name/0``, ``name/1`` ...; 0 when it is alone."""


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decoder = msgspec.msgpack.Decoder(Plan)


def encode_plan(plan: Plan) -> bytes:
    """Write a plan; equal plans give equal bytes."""
    return _encode(plan)


def decode_plan(data: bytes) -> Plan:
    """Read a plan; anything else is a :class:`CodecError`."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        message = f"not the plan of a child: {error}"
        raise CodecError(message) from error


def check_placement(placement: Placement) -> None:
    """Raise :class:`ArgumentError` for what cannot be a placement."""
    known = Strategy.__args__  # type: ignore[attr-defined]
    if placement.strategy not in known and ":" not in placement.strategy:
        message = f"strategy is one of {', '.join(known)} or module:function, not {placement.strategy!r}"
        raise ArgumentError(message)
