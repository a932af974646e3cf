"""A clock that never runs backwards and never behind what was heard, close to the wall clock. Pure.

Source: hybrid logical clocks (Kulkarni et al. 2014). A stamp is one integer: milliseconds since 1970 above 16 bits of
a counter, so stamps compare as integers. The counter begins at the clock's own *offset*, so that nodes that cannot
hear each other hardly ever give the same stamp in the same millisecond.
"""

from __future__ import annotations

from foundation.errors import ClockDriftError

COUNTER_BITS = 16


class HybridClock:
    """Stamps for events at one node; ``wall_s`` is always the node's own wall clock, seconds since 1970."""

    def __init__(self, max_drift_s: float, offset: int = 0) -> None:
        """``max_drift_s``: a stamp from further in the future is refused, so that one wrong clock misleads nobody.

        ``offset``: a number that differs from node to node.
        """
        self._max_drift = int(max_drift_s * 1000) << COUNTER_BITS
        self._offset = offset % (1 << COUNTER_BITS - 1)
        self._last = 0

    def stamp(self, wall_s: float) -> int:
        """Return a stamp later than all that this node has given or heard."""
        self._last = max(self._last + 1, _of(wall_s) + self._offset)
        return self._last

    def hear(self, stamp: int, wall_s: float) -> None:
        """Take a stamp from elsewhere; raises :class:`ClockDriftError` when it lies too far in the future."""
        if stamp - _of(wall_s) > self._max_drift:
            ahead_s = ((stamp >> COUNTER_BITS) / 1000) - wall_s
            message = f"a stamp from {ahead_s:.0f} s in the future: the clock of its node, or this one's, is wrong"
            raise ClockDriftError(message)
        self._last = max(self._last, stamp)


def wall_s(stamp: int) -> float:
    """Return the wall time of a stamp, seconds since 1970."""
    return (stamp >> COUNTER_BITS) / 1000


def _of(wall_s: float) -> int:
    return int(wall_s * 1000) << COUNTER_BITS
