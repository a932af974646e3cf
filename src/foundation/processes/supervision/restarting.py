"""What a supervisor decides: who is started again, when, with whom, and when it gives up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

from foundation.core.backoff import Backoff
from foundation.processes.ended import EndReason

Restart = Literal["permanent", "transient", "temporary"]
"""Which end of a child makes its supervisor start it again: any, any but one in order, none."""

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
"""Who goes down with a child that is started again: nobody, all others, those that were started after it."""

RESTART_BACKOFF = Backoff(first_s=0.1, most_s=10.0)


def wants_restart(restart: Restart, reason: EndReason) -> bool:
    """Tell whether a child is started again after such an end."""
    if restart == "temporary" or reason is EndReason.NODE_LEFT:
        return False
    return restart == "permanent" or reason is not EndReason.STOPPED


def going_down(strategy: Strategy, children: Sequence[str], failed: str) -> list[str]:
    """Return who has to be down before ``failed`` is started again, itself included, in the order of their start.

    They are stopped in the reverse order. ``children`` are all, in the order of their start.
    """
    if strategy == "one_for_one":
        return [failed]
    return list(children) if strategy == "one_for_all" else list(children[children.index(failed) :])


class Intensity:
    """Counts restarts within a sliding period."""

    def __init__(self, max_restarts: int, within_s: float) -> None:
        self.max_restarts = max_restarts
        self.within_s = within_s
        self._times: deque[float] = deque()

    def exceeded(self, now: float) -> bool:
        """Enter one more restart; True when that is more than ``max_restarts`` in the last ``within_s`` seconds."""
        self._times.append(now)
        while now - self._times[0] > self.within_s:
            self._times.popleft()
        return len(self._times) > self.max_restarts


class Pace:
    """How long one child waits for each of its restarts: not at all, then longer and longer, until it runs stably.

    A start that failed is never tried again at once.
    """

    def __init__(self, backoff: Backoff, stable_s: float) -> None:
        """Who has run for ``stable_s`` seconds is started again at once when it ends."""
        self._backoff = backoff
        self._stable_s = stable_s
        self._failures = 0

    def delay_s(self, ran_s: float | None, chance: float) -> float:
        """Enter an end after so many seconds, None for a failed start; return the seconds to wait.

        ``chance`` is a number from 0 to 1 that the caller drew.
        """
        if ran_s is None:
            self._failures = max(self._failures, 1)
        elif ran_s >= self._stable_s:
            self._failures = 0
        self._failures += 1
        return 0.0 if self._failures == 1 else self._backoff.delay_s(self._failures - 1, chance)
