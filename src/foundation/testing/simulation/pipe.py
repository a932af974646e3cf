"""One direction of a simulated TCP connection: what the two kernels and the cable do.

Bytes are never lost, doubled or reordered. What a real network loses costs time: it is sent again after 0.2 s, 0.4 s
and so on up to two minutes, as Linux does it, so a connection may stay silent for a while after a partition has healed.
Bytes that nobody acknowledges for 15 minutes end the connection at their sender.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from foundation.testing.simulation.turns import Timer
from foundation.testing.simulation.wire import Wire, cancel


class Kind(Enum):
    """What a segment is."""

    DATA = auto()
    FIN = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Segment:
    """What travels as one."""

    kind: Kind
    data: bytes = b""


class Pipe:
    """From the kernel of ``source`` to the kernel of ``target``, both addresses."""

    def __init__(self, wire: Wire, source: str, target: str, name: str) -> None:
        self.arrived: Callable[[Segment], None] = lambda _: None
        """Called at the receiver, outside of any event loop."""
        self.has_room: Callable[[], None] = lambda: None
        """Called at the sender when it may send again."""
        self.failed: Callable[[OSError], None] = lambda _: None
        """Called at the sender when it has given up."""
        self._wire = wire
        self._source = source
        self._target = target
        self._name = name
        self._room = wire.options.window_bytes
        self._last_arrival = 0.0
        self._unacknowledged = 0
        self._progress_at = 0.0
        self._lost: deque[Segment] = deque()
        self._acknowledgments_lost = 0
        self._credit_lost = 0
        self._retry: Timer | None = None
        self._retry_s = wire.options.first_retry_s
        self._patience: Timer | None = None
        self._is_over = False

    @property
    def room(self) -> int:
        """How many bytes may be sent now: the window without what is under way or not yet read over there."""
        return self._room

    def send(self, data: bytes) -> None:
        """Send bytes, no more than there is room for."""
        self._room -= len(data)
        self._send(Segment(Kind.DATA, data))

    def finish(self) -> None:
        """Say that no more comes."""
        self._send(Segment(Kind.FIN))

    def read(self, size: int) -> None:
        """Take note, at the receiver, that its program has read so many bytes."""
        if self._wire.passes(self._target, self._source):
            self._back(0, size)
        else:
            self._credit_lost += size
            self._stall()

    def reset(self) -> None:
        """Break the connection off. Nobody repeats that: the other side of a partition is not told."""
        self.stop()
        way = self._wire.way(self._source, self._target)
        if self._wire.passes(self._source, self._target):
            self._fly(Segment(Kind.RESET))
        elif way.is_held and not way.is_cut:
            self._lost.append(Segment(Kind.RESET))
            self._wire.stalled[self] = None

    def stop(self) -> None:
        """Send nothing any more; what is under way arrives."""
        self._is_over = True
        self._lost.clear()
        self._wire.stalled.pop(self, None)
        cancel(self._retry)
        cancel(self._patience)
        self._retry = self._patience = None

    def flush(self) -> None:
        """Send again what did not get through."""
        there = self._wire.passes(self._source, self._target)
        while there and self._lost:
            self._fly(self._lost.popleft())
        if there and self._wire.passes(self._target, self._source):
            if self._acknowledgments_lost or self._credit_lost:
                self._back(self._acknowledgments_lost, self._credit_lost, self._travel_s())
            self._acknowledgments_lost = self._credit_lost = 0
        if self._lost or self._acknowledgments_lost or self._credit_lost:
            self._stall()
        else:
            cancel(self._retry)
            self._retry, self._retry_s = None, self._wire.options.first_retry_s
            self._wire.stalled.pop(self, None)

    def _send(self, segment: Segment) -> None:
        if self._is_over:
            return
        if not self._unacknowledged:
            self._progress_at = self._wire.scheduler.now
            self._be_patient(self._wire.options.give_up_s)
        self._unacknowledged += 1
        if self._lost or not self._wire.passes(self._source, self._target):
            self._lost.append(segment)
            self._stall()
        else:
            self._fly(segment)

    def _travel_s(self) -> float:
        return self._wire.travel_s(self._source, self._target)

    def _fly(self, segment: Segment) -> None:
        """What was sent first arrives first; what is sent again holds up what follows it."""
        self._last_arrival = max(self._last_arrival, self._wire.scheduler.now + self._travel_s())
        self._wire.scheduler.when(self._last_arrival, self._arrive, segment)

    def _arrive(self, segment: Segment) -> None:
        if self._target in self._wire.down:
            return
        self._wire.mix(self._target, f"{self._name} {segment.kind.name} {zlib.crc32(segment.data)}")
        if segment.kind is not Kind.RESET:
            if self._wire.passes(self._target, self._source):
                self._back(1, 0)
            else:
                self._acknowledgments_lost += 1
                self._stall()
        self.arrived(segment)

    def _back(self, acknowledged: int, credit: int, there_s: float = 0.0) -> None:
        seconds = there_s + self._wire.travel_s(self._target, self._source)
        self._wire.scheduler.later(seconds, self._heard_back, acknowledged, credit)

    def _heard_back(self, acknowledged: int, credit: int) -> None:
        if self._is_over:
            return
        self._room += credit
        self._unacknowledged -= acknowledged
        if acknowledged:
            self._progress_at = self._wire.scheduler.now
        if not self._unacknowledged:
            cancel(self._patience)
            self._patience = None
        if credit:
            self.has_room()

    def _stall(self) -> None:
        self._wire.stalled[self] = None
        if self._retry is None and not self._is_over:
            self._retry = self._wire.scheduler.later(self._retry_s, self._try_again)
            self._retry_s = min(self._retry_s * 2, self._wire.options.longest_retry_s)

    def _try_again(self) -> None:
        self._retry = None
        self.flush()

    def _be_patient(self, seconds: float) -> None:
        self._patience = self._wire.scheduler.later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        left_s = self._progress_at + self._wire.options.give_up_s - self._wire.scheduler.now
        if left_s > 0:
            self._be_patient(left_s)
            return
        self.stop()
        self._wire.note(self._source, f"{self._name} given up: nothing was acknowledged")
        self.failed(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
