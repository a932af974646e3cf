"""Notices who holds the event loop, so that everybody else on the node waits, and says who it is.

A thread of its own looks at short intervals whether the loop runs a task, and then asks it for a sign of life; once
in a while it asks in any case, for a mere callback can hold the loop too. If no sign comes it takes the stack of the
loop's thread while that is still blocked, so that a handler that never returns is found as well. No call pays
anything for this, and a loop at rest is hardly ever woken.

Consistency: a task that holds the loop for one and a half times ``slow_handler_s`` is surely noticed, what holds it for
less than that time never is. The given duration may be half of that time too short. What is measured is one turn of the
loop: where many share it one of them is named, and it is said that there were others.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from threading import Event, Thread, get_ident
from types import CodeType, FrameType
from weakref import WeakKeyDictionary

from foundation.core.clock import SystemClock
from foundation.processes.options import ProcessOptions
from foundation.processes.serving.culprit import Culprit, at_work, find_culprit

logger = logging.getLogger(__name__)

_STILL = 10
"""Times ``slow_handler_s`` after which the warning does not wait for the end."""

_MOST_REMEMBERED = 1_000
_LOOP_FRAMES = 3
_LOOKS_WITHOUT_QUESTION = 20
_END_S = 1.0

_now = SystemClock().now


Stuck = Callable[[bool], None]
"""Told, in the thread of the watchdog, when the loop stands still and when it goes on."""

_watchdogs: WeakKeyDictionary[asyncio.AbstractEventLoop, Watchdog] = WeakKeyDictionary()


def watch(options: ProcessOptions, stuck: Stuck) -> Watchdog:
    """Have the running loop watched; one watchdog serves all nodes on a loop, with the options of the first."""
    loop = asyncio.get_running_loop()
    watchdog = _watchdogs.get(loop)
    if watchdog is None:
        watchdog = _watchdogs[loop] = Watchdog(options)
    watchdog.told.append(stuck)
    return watchdog


def watch_no_longer(watchdog: Watchdog, stuck: Stuck) -> None:
    """Take back :func:`watch`; the last one stops the watchdog."""
    watchdog.told.remove(stuck)
    if not watchdog.told:
        _watchdogs.pop(asyncio.get_running_loop(), None)
        watchdog.stop()


class Watchdog:
    """Watch the event loop on which it is made."""

    def __init__(self, options: ProcessOptions) -> None:
        assert options.slow_handler_s is not None  # noqa: S101 - else nobody makes one
        self.stalls = 0
        self._slow_s = options.slow_handler_s
        self._interval_s = self._slow_s / 2
        self._log_interval_s = options.slow_log_interval_s
        self._stuck_after_s = options.stuck_after_s
        self.told: list[Stuck] = []
        self._is_stuck = False
        self._warned: dict[str, tuple[float | None, int]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop_thread = get_ident()
        self._resting: tuple[CodeType, ...] = ()
        self._over = Event()
        self._answered = Event()
        self._answered_at = 0.0
        self._thread = Thread(target=self._watch, name="foundation watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._answered_at = _now()
        self._answered.set()
        self._thread.join(_END_S)

    def find(self) -> Culprit | None:
        """Return who is at work on the loop at this instant (called in another thread)."""
        return find_culprit(self._loop, self._loop_thread, self._resting)

    def _watch(self) -> None:
        looks = 0
        while not self._over.wait(self._interval_s):
            work, looks = at_work(self._loop), looks + 1
            if work is None and looks % _LOOKS_WITHOUT_QUESTION:
                continue
            self._answered.clear()
            if self._over.is_set():  # looked at last: `stop` may have answered just before
                return
            asked_at = _now()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # it was closed, and nobody stopped this before
                return
            if not self._answered.wait(self._slow_s):
                self._stalled(asked_at, work)

    def _answer(self) -> None:
        self._answered_at = _now()
        self._answered.set()
        if not self._resting:
            self._resting = _codes_below(inspect.currentframe())

    def _stalled(self, asked_at: float, work: object) -> None:
        """Find out who it is, and wait for the end of it; ``work`` is what the loop did when it was asked."""
        culprit: Culprit | None = None
        is_known = False
        others = ""
        while not self._answered.is_set() and not self._loop.is_closed():
            if culprit is None:
                culprit = self.find()
                if culprit is not None:
                    self.stalls += 1
                    others = "" if culprit.work is work else "and others before it "
            elif not is_known and _now() - asked_at > _STILL * self._slow_s:
                is_known = True
                self._report(culprit, f"{others}held the event loop until now, for", _now() - asked_at)
            self._mind(_now() - asked_at > self._stuck_after_s)
            self._answered.wait(self._interval_s)
        self._mind(False)  # noqa: FBT003
        if culprit is None:
            return
        held_s = self._answered_at - asked_at
        if is_known:
            logger.warning("%s has let go of the event loop after %.2f s", culprit.who, held_s)
        else:
            self._report(culprit, f"{others}held the event loop for", held_s)

    def _mind(self, is_stuck: bool) -> None:
        if is_stuck is not self._is_stuck:
            self._is_stuck = is_stuck
            for tell in list(self.told):
                tell(is_stuck)

    def _report(self, culprit: Culprit, what: str, held_s: float) -> None:
        now = _now()
        last, unsaid = self._warned.get(culprit.who, (None, 0))
        if last is not None and now - last < self._log_interval_s:
            self._warned[culprit.who] = (last, unsaid + 1)
            return
        if len(self._warned) >= _MOST_REMEMBERED:
            self._warned.clear()
        self._warned[culprit.who] = (now, 0)
        logger.warning(
            "%s %s %.2f s%s, and all others on this node waited: let it await, or offload what it does. It was at\n%s",
            culprit.who,
            what,
            held_s,
            f" (and {unsaid} times more since this was last said)" if unsaid else "",
            culprit.stack,
        )


def _codes_below(frame: FrameType | None) -> tuple[CodeType, ...]:
    """Return what calls the callbacks of the loop: the innermost code of its thread when nothing is to be done."""
    found: list[CodeType] = []
    while frame is not None and len(found) <= _LOOP_FRAMES:
        found.append(frame.f_code)
        frame = frame.f_back
    return tuple(found[1:])
