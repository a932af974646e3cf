"""The ways from one node to another: a direct link, or the engine's routes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from foundation.fabric.link import Link


class Way(StrEnum):
    """How frames travel; the first that works is taken."""

    DIRECT = "direct"
    ROUTED = "routed"


class Path(Protocol):
    """One way that is open."""

    way: Way
    is_ready: bool
    """Whether the other side has told, on this path, what it has seen, and nothing has been missed since."""
    has_begun: bool
    """Whether it has told so before."""

    @property
    def is_writable(self) -> bool:
        """Tell whether it takes more now without piling it up."""
        ...

    def write(self, packets: Sequence[bytes]) -> None:
        """Send packets, in order; never blocks."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...

    def round_trip_s(self) -> tuple[float, float] | None:
        """Return the present and the shortest round trip, in seconds, as far as that is known."""
        ...


class DirectPath:
    """A TCP connection of our own."""

    way = Way.DIRECT

    def __init__(self, link: Link, *, dialed_here: bool) -> None:
        self.link = link
        self.dialed_here = dialed_here
        self.is_ready = self.has_begun = False
        self.write = link.write
        self.close = link.abort
        self.round_trip_s = link.round_trip_s

    @property
    def is_writable(self) -> bool:
        """See the port."""
        return self.link.is_writable


ROUTED_WINDOW_BYTES = 512 << 10
"""Under way on one channel over the engine's routes: while the network is cut, Zenoh queues 1 MB for each node.

A put beyond that holds the event loop up for 5 s, even when the lease is over. A quarter of that megabyte would halve
the throughput of large messages on loopback; all of it would let one busy channel fill the queue.
"""
ROUTED_PIECE_BYTES = 60 << 10
"""With its headers, no more than one of Zenoh's batches."""


class RoutedPath:
    """The engine's session. Its put blocks only beyond what two channels may have under way."""

    way = Way.ROUTED
    is_writable = True

    def __init__(self, sender: bytes, put: Callable[[bytes], None]) -> None:
        self._sender = sender
        self.is_ready = self.has_begun = False
        self._put = put

    def write(self, packets: Sequence[bytes]) -> None:
        """See the port."""
        self._put(b"".join((self._sender, *packets)))

    def close(self) -> None:
        """Nothing is held."""

    def round_trip_s(self) -> None:
        """Nobody tells."""
