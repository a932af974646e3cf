"""Messages that a process sends to itself, later or again and again.

Consistency: a timer lives as long as its process, also where that goes on at another node: what was left of its delay
goes along. At most one message of a timer waits in the mailbox, and none that was cancelled is handled.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from foundation.errors import ArgumentError, Overloaded
from foundation.processes.interface.plain import PlainMessages
from foundation.processes.serving.requests import Hook
from foundation.processes.timer import Timer, TimerState


class RunningTimers:
    """See :class:`foundation.processes.timer.Timers`. Use them on the event loop of their process only."""

    def __init__(self, plain: PlainMessages, tell: Callable[[Hook], object], most: int) -> None:
        """``tell`` puts something into the mailbox, and is falsy when the process takes no more."""
        self.plain = plain
        self.tell = tell
        self._most = most
        self._active: dict[_Timer, None] = {}
        self._moved: list[_Timer] = []
        """What came from another node, until the process has begun here."""

    def after(self, delay_s: float, message: object) -> Timer:
        """Send a message once."""
        if not 0 <= delay_s < math.inf:
            problem = f"a delay is a number of seconds, 0 or more, not {delay_s!r}"
            raise ArgumentError(problem)
        return self._begin(message, delay_s, None)

    def every(self, period_s: float, message: object) -> Timer:
        """Send a message again and again."""
        if not 0 < period_s < math.inf:
            problem = f"a period is a number of seconds above 0, not {period_s!r}"
            raise ArgumentError(problem)
        return self._begin(message, period_s, period_s)

    def states(self) -> list[TimerState]:
        """Return what another node needs to go on with them."""
        now = asyncio.get_running_loop().time()
        return [timer.state(now) for timer in self._active]

    def resume(self, states: Iterable[TimerState]) -> None:
        """Go on with what another node has begun."""
        for state in states:
            if self._is_possible(state):
                timer = _Timer(self, state.kind, state.body, state.period_s)
                self._active[timer] = None
                self._moved.append(timer)
                timer.arm(state.left_s)

    def begun(self) -> None:
        """Take that the process has begun: what it sets from now on is new."""
        self._moved.clear()

    def end(self) -> None:
        """End them all."""
        for timer in list(self._active):
            timer.cancel()

    def forget(self, timer: _Timer) -> None:
        """Take that a timer is over."""
        self._active.pop(timer, None)

    def _begin(self, message: object, delay_s: float, period_s: float | None) -> Timer:
        kind, body = self.plain.encode(message)
        for moved in self._moved:
            if (moved.kind, moved.body, moved.period_s) == (kind, body, period_s):
                self._moved.remove(moved)
                return moved
        if len(self._active) >= self._most:
            problem = f"this process has {len(self._active)} timers already"
            raise Overloaded(problem)
        timer = _Timer(self, kind, body, period_s)
        self._active[timer] = None
        timer.arm(delay_s)
        return timer

    def _is_possible(self, state: TimerState) -> bool:
        is_period = state.period_s is None or 0 < state.period_s < math.inf
        return is_period and 0 <= state.left_s < math.inf and len(self._active) < self._most


class _Timer:
    def __init__(self, timers: RunningTimers, kind: str, body: bytes, period_s: float | None) -> None:
        self.kind = kind
        self.body = body
        self.period_s = period_s
        self._timers = timers
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._waits = False
        """Whether a message is in the mailbox."""
        self._is_over = False

    def arm(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._due_at = loop.time() + delay_s
        self._handle = loop.call_at(self._due_at, self._fire)

    def cancel(self) -> None:
        self._is_over = True
        if self._handle is not None:
            self._handle.cancel()
        self._timers.forget(self)

    def state(self, now: float) -> TimerState:
        left_s = 0.0 if self._waits else max(self._due_at - now, 0.0)
        return TimerState(left_s, self.period_s, self.kind, self.body)

    def _fire(self) -> None:
        if not self._waits:
            self._waits = bool(self._timers.tell(Hook("handle_message", self._deliver)))
            if not self._waits:
                self.cancel()
                return
        if self.period_s is not None:  # in step with the first one, whatever it was late
            now = asyncio.get_running_loop().time()
            missed = max(math.floor((now - self._due_at) / self.period_s), 0)
            self.arm(self._due_at + (missed + 1) * self.period_s - now)

    def _deliver(self, process: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - an instance of the user's class
        if self._is_over:
            return _nothing()
        self._waits = False
        if self.period_s is None:
            self._is_over = True
            self._timers.forget(self)
        handled: Coroutine[Any, Any, None] = process.handle_message(self._timers.plain.decode(self.kind, self.body))
        return handled


async def _nothing() -> None:
    """Handle a message that was cancelled while it waited."""
