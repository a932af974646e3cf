"""Read datagrams in the event loop without letting a flood of them take it over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from foundation.errors import DiscoveryError

MOST_AT_ONCE = 64
PAUSE_S = 0.02


class DatagramReader:
    """Hand on what arrives at a socket: 64 datagrams fifty times a second at most, the system drops what is more.

    The pause comes after every turn, not only after a full one, so that a trickle of junk wakes the loop no more often
    than a flood.
    """

    def __init__(self, source: socket.socket, received: Callable[[bytes], None], most_bytes: int) -> None:
        """Begin; longer datagrams are handed on as their first ``most_bytes + 1`` bytes."""
        self._source = source
        self._received = received
        self._size = most_bytes + 1
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        try:
            self._resume()
        except NotImplementedError as error:
            message = "this event loop cannot read datagrams from a socket; use a selector event loop, or uvloop"
            raise DiscoveryError(message) from error

    def close(self) -> None:
        """Stop; the socket stays open."""
        if self._pause is None:
            self._loop.remove_reader(self._source)
        else:
            self._pause.cancel()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._source, self._turn)

    def _turn(self) -> None:
        self._loop.remove_reader(self._source)
        self._pause = self._loop.call_later(PAUSE_S, self._resume)
        for _ in range(MOST_AT_ONCE):
            try:
                datagram = self._source.recv(self._size)
            except OSError:  # nothing is left; or an earlier datagram of ours was refused somewhere
                break
            self._received(datagram)
