"""Time and chance of a simulated node, in the shape that :mod:`foundation.core.sources` asks event loops for."""

from __future__ import annotations

import random

from foundation.testing.simulation.scheduler import Scheduler

_BEGAN_AT = 1_767_225_600.0
"""When every run begins: 2026, seen from nodes whose clock is right."""


class SimulatedClock:
    """The clocks of one node."""

    def __init__(self, scheduler: Scheduler, skew_s: float = 0.0) -> None:
        self.skew_s = skew_s
        """Seconds by which the wall clock is ahead of the true time; a test may set it at any moment."""
        self._scheduler = scheduler

    def now(self) -> float:
        """See :meth:`foundation.core.clock.Clock.now`."""
        return self._scheduler.now

    def wall(self) -> float:
        """See :meth:`foundation.core.clock.Clock.wall`."""
        return _BEGAN_AT + self._scheduler.elapsed_s + self.skew_s


class SimulatedSources:
    """A node's own clock and chance."""

    def __init__(self, clock: SimulatedClock, chance: random.Random) -> None:
        self.clock = clock
        self.chance = chance
