"""The one place that reads the time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, so that a test can turn it."""

    def now(self) -> float:
        """Return seconds on a clock that never steps; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Return seconds since 1970 (UTC), as the machine believes."""
        ...


class SystemClock:
    """The clocks of the operating system."""

    def now(self) -> float:
        """See :meth:`Clock.now`."""
        return time.monotonic()

    def wall(self) -> float:
        """See :meth:`Clock.wall`."""
        return time.time()
