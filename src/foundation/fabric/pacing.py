"""How much bulk may be under way at once, so that it does not build a queue for all others in the network. Pure.

After LEDBAT (RFC 6817): what a round trip takes longer than the shortest one seen is the queue at the narrowest place
on the way; the window shrinks in proportion while that is more than the target, and grows while it is less.
"""

from __future__ import annotations

LEAST_WINDOW_BYTES = 64 << 10
_FIRST_WINDOW_BYTES = 128 << 10
_LEAST_PIECE_BYTES = 16 << 10
_FASTEST_SHRINK = 0.5
_GROWTH = 1.25


class BulkWindow:
    """The window of the bulk channel on one path."""

    def __init__(self, most_bytes: int, target_s: float) -> None:
        self._most = most_bytes
        self._target_s = target_s
        self.bytes = min(_FIRST_WINDOW_BYTES, most_bytes)

    def observe(self, round_trip_s: float, shortest_s: float) -> None:
        """Take a measurement of the path; at most one for each round trip, else it counts the same queue twice."""
        queue_s = max(round_trip_s - shortest_s, 0.0)
        if queue_s > self._target_s:
            factor = max(self._target_s / queue_s, _FASTEST_SHRINK)
            self.bytes = max(int(self.bytes * factor), LEAST_WINDOW_BYTES)
        else:
            growth = 1 + (_GROWTH - 1) * (1 - queue_s / self._target_s)
            self.bytes = min(int(self.bytes * growth), self._most)

    @property
    def piece_bytes(self) -> int:
        """Bytes of one packet: several fit in the window, and on a slow line each takes little time."""
        return max(self.bytes // 8, _LEAST_PIECE_BYTES)
