"""The way to one other node: a queue, a window, and the batches that pass through it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from foundation.errors import Overloaded
from foundation.fabric.batch import Batch, pack
from foundation.fabric.options import FabricOptions
from foundation.fabric.window import ReceiveWindow, SendWindow

_BATCH_BYTES = 256 << 10


class Peer:
    """Frames that wait for one node, and what is under way to it and from it."""

    def __init__(self, put: Callable[[bytes], None], options: FabricOptions) -> None:
        self._put = put
        self._most_waiting = options.queue_bytes
        self._queue: deque[bytes] = deque()
        self._outgoing = SendWindow(options.window_bytes)
        self._incoming = ReceiveWindow(options.window_bytes)
        self._incarnation = 0
        self.waiting_bytes = 0
        self.is_present = True

    def enqueue(self, frame: bytes) -> None:
        """Let a frame wait for the next :meth:`flush`; :class:`Overloaded` when too much waits already."""
        if self.waiting_bytes > self._most_waiting:
            message = f"{self.waiting_bytes >> 20} MB wait for that node already"
            raise Overloaded(message)
        self._queue.append(frame)
        self.waiting_bytes += len(frame)

    def flush(self, incarnation: int) -> None:
        """Send what waits, as far as the window allows; a new incarnation begins with an open one.

        What a past incarnation sent may have been refused, and then nobody confirms it.
        """
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._outgoing.reset()
        while self._queue and self.is_present and self._outgoing.is_open:
            self._send(incarnation, self._next_frames())

    def receive(self, batch: Batch, size: int, incarnation: int) -> None:
        """Count a batch of ``size`` bytes that came from the node; confirm when it is time, go on when it did."""
        if self._incoming.receive(batch.before, size if batch.frame_count else 0):
            self._send(incarnation, [])
        self._outgoing.confirm(batch.confirmed)
        self.flush(incarnation)

    def lost(self) -> None:
        """The link is gone: what was under way is, what waits stays."""
        self.is_present = False

    def found(self) -> None:
        """The link is there again."""
        if not self.is_present:
            self.is_present = True
            self._outgoing.reset()

    def _next_frames(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while self._queue and size < _BATCH_BYTES:
            frame = self._queue.popleft()
            size += len(frame)
            frames.append(frame)
        self.waiting_bytes -= size
        return frames

    def _send(self, incarnation: int, frames: list[bytes]) -> None:
        confirmed = self._incoming.confirm()
        payload = pack(incarnation, self._outgoing.sent, confirmed, frames)
        if frames:
            self._outgoing.send(len(payload))
        self._put(payload)
