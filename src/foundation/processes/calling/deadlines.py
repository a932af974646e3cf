"""Deadlines of many calls with one timer: they are kept in buckets and end up to a bucket's width late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from foundation.core.clock import Clock

BUCKET_S = 0.01

_ROUNDING_S = 1e-5
"""More than what is lost by adding floats: a timer that comes a hair too early must find its bucket due, not spin."""


class Deadlines:
    """Call back when a call's time is up; entering and leaving cost no timer."""

    def __init__(self, clock: Clock, expire: Callable[[int], None]) -> None:
        self._clock = clock
        self._expire = expire
        self._buckets: dict[int, set[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0

    def add(self, call: int, deadline: float) -> int:
        """Watch a call; the result is the bucket that :meth:`remove` needs."""
        number = int(deadline / BUCKET_S) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = {call}
            if self._timer is None or number < self._next:
                self._set_timer(number)
        else:
            bucket.add(call)
        return number

    def remove(self, call: int, number: int) -> None:
        """Forget a call."""
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.discard(call)
            if not bucket:
                del self._buckets[number]

    def close(self) -> None:
        """Forget everything."""
        self._buckets.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, number: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = number
        delay_s = max(0.0, number * BUCKET_S - self._clock.now())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now = int((self._clock.now() + _ROUNDING_S) / BUCKET_S)
        for number in sorted(number for number in self._buckets if number <= now):
            for call in sorted(self._buckets.pop(number, ())):
                self._expire(call)
        if self._buckets:
            self._set_timer(min(self._buckets))
