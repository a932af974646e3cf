"""One virtual time for all nodes of a program: whose turn it is, and when the clock jumps.

Each node has a :class:`Lane` with what is ready to run there. While anything is ready anywhere, time stands still; when
nothing is, the clock jumps to the next timer. The technique is that of FoundationDB's simulator: all chance comes from
one seed, so a run can be repeated.

*Consistency*: everything happens in the thread that calls :meth:`Scheduler.run_until`; handles of one node run in the
order in which they became ready, as asyncio promises, and those of different nodes in an order drawn from the seed.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import random
import sys
from asyncio.events import _get_running_loop, _set_running_loop  # pyright: ignore[reportPrivateUsage]
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

from foundation.errors import RunningLoopError
from foundation.testing.errors import StuckError
from foundation.testing.simulation.turns import Job, Lane, TimedJob, Timer
from foundation.testing.simulation.waiting import what_waits

START_S = 1000.0
"""What the clock shows first: no machine's clock is at 0, and programs take 0 for `never`."""

_COLLECT_AFTER_STEPS = 20_000
_COLLECT_ALL_AFTER_STEPS = 1_000_000
"""A collection of all that was ever made takes as long as the run has grown large, so it comes seldom."""
_MOST_STEPS_AT_ONCE = 1_000_000
_FEWEST_TO_SWEEP = 1000

Order = Literal["seed", "fifo"]
"""In which order nodes that are ready have their turn: drawn from the seed, or one after the other."""


class Scheduler:
    """Virtual time, timers and turns."""

    def __init__(self, seed: int, order: Order = "seed") -> None:
        self.seed = seed
        self.order: Order = order
        self.now = START_S
        self.steps = 0
        self._turns = self.chance("turns")
        self._lanes: list[Lane] = []
        self._runnable: list[Lane] = []
        self._timers: list[tuple[float, int, TimedJob | Timer, Lane | None]] = []
        self._sweep_at = _FEWEST_TO_SWEEP
        self._number = 0
        self._entered: Lane | None = None
        self._moved_at_step = 0
        self._collected_at_step = 0
        self._collected_all_at_step = 0
        self._is_running = False

    @property
    def elapsed_s(self) -> float:
        """Seconds of virtual time since the beginning, to the nanosecond."""
        return round(self.now - START_S, 9)

    def chance(self, purpose: str) -> random.Random:
        """Return a source of chance of its own for a purpose, so that one more node leaves the others' as they are."""
        return random.Random(f"{self.seed} {purpose}")  # a text is hashed by SHA-512, the same everywhere

    def number(self) -> int:
        """Return 1, 2, 3 and so on."""
        self._number += 1
        return self._number

    def admit(self, lane: Lane) -> None:
        """Take up a node."""
        self._lanes.append(lane)

    def dismiss(self, lane: Lane) -> None:
        """Give a killed node no turn any more, nor a line in reports."""
        self._lanes.remove(lane)
        if lane in self._runnable:
            self._runnable.remove(lane)

    def ready(self, lane: Lane, job: Job | TimedJob) -> None:
        """Put something behind all that is ready in a node already."""
        if not lane.ready and not lane.is_paused:
            self._runnable.append(lane)
        lane.ready.append(job)

    def pause(self, lane: Lane) -> None:
        """Give a node no turn until it is resumed; what becomes due waits."""
        if not lane.is_paused:
            lane.is_paused = True
            if lane in self._runnable:
                self._runnable.remove(lane)

    def resume(self, lane: Lane) -> None:
        """Let a node go on."""
        if lane.is_paused:
            lane.is_paused = False
            if lane.ready and not lane.is_dead:
                self._runnable.append(lane)

    def at(self, when: float, job: TimedJob, lane: Lane) -> None:
        """Make something ready in a node when the clock shows ``when``."""
        self._push(when, job, lane)

    def later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Have something happen outside the nodes, where no event loop runs."""
        return self.when(self.now + delay_s, callback, *args)

    def when(self, at_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Have something happen outside the nodes when the clock shows ``at_s``."""
        timer = Timer(callback, args)
        self._push(at_s, timer, None)
        return timer

    def run_until(
        self, over: Callable[[], bool] | asyncio.Future[Any], *, limit_s: float, limit_steps: int | None = None
    ) -> None:
        """Give turns until ``over`` is true or, if it is a future, done.

        Raises :class:`StuckError`, which says what every node waits for, when nothing is left to do, when ``limit_s``
        seconds of virtual time have passed, or after ``limit_steps`` turns.
        """
        is_over = over.done if isinstance(over, asyncio.Future) else over
        last_s = self.now + limit_s
        last_step = sys.maxsize if limit_steps is None else self.steps + limit_steps
        with self._alone():
            while not is_over():
                if self.steps >= last_step:
                    self._give_up(f"{limit_steps} turns were not enough")
                if self._runnable:
                    self._step()
                else:
                    self._jump(last_s, limit_s)

    @contextmanager
    def inside(self, lane: Lane | None) -> Generator[None]:
        """Make a node's loop the running one for the block, which is no turn of that node."""
        before, hooks = _get_running_loop(), sys.get_asyncgen_hooks()
        entered, self._entered = self._entered, None
        try:
            self._enter(lane)
            yield
        finally:
            self._entered = entered
            _set_running_loop(before)
            sys.set_asyncgen_hooks(*hooks)

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Keep the cyclic collector away: what it finalizes must not depend on how much else the program has made."""
        if self._is_running or _get_running_loop() is not None:
            message = "a simulation brings its own event loops and cannot be run inside one: call it from a plain def"
            raise RunningLoopError(message)
        was_collecting = gc.isenabled()
        gc.collect()
        gc.disable()
        gc.freeze()  # what was there before need not be looked through again and again
        self._is_running = True
        try:
            with self.inside(None):
                yield
        finally:
            self._is_running = False
            gc.unfreeze()
            if was_collecting:
                gc.enable()

    def _step(self) -> None:
        runnable = self._runnable
        at = self._turns.randrange(len(runnable)) if len(runnable) > 1 and self.order == "seed" else 0
        lane = runnable[at]
        job = lane.ready.popleft()
        if not lane.ready:
            del runnable[at]
        elif self.order == "fifo":
            runnable.append(runnable.pop(at))
        self.steps += 1
        if not job.cancelled():
            if lane is not self._entered:
                self._enter(lane)
            job.run()
        if self.steps - self._moved_at_step >= _MOST_STEPS_AT_ONCE:
            self._give_up(f"{_MOST_STEPS_AT_ONCE} turns were taken at one moment: something spins")

    def _jump(self, last_s: float, limit_s: float) -> None:
        """Go to the next moment at which something happens, and let it happen."""
        if self.steps - self._collected_at_step >= _COLLECT_AFTER_STEPS:
            self._collect()
            if self._runnable:  # a finalizer had something to do
                return
        when = self._next_s()
        if when is None:
            self._give_up("nothing is left to do")
        if when > last_s:
            self.now = last_s
            self._give_up(f"{limit_s} s of virtual time were not enough")
        if when > self.now:
            self.now, self._moved_at_step = when, self.steps
        while when is not None and when <= self.now:
            _, _, due, lane = heapq.heappop(self._timers)
            self._happen(due, lane)
            when = self._next_s()

    def _collect(self) -> None:
        self._enter(None)
        self._collected_at_step = self.steps
        is_full = self.steps - self._collected_all_at_step >= _COLLECT_ALL_AFTER_STEPS
        if is_full:
            self._collected_all_at_step = self.steps
        gc.collect(2 if is_full else 1)

    def _next_s(self) -> float | None:
        """Tell what the clock shows when the next timer is due."""
        timers = self._timers
        while timers and self._is_void(timers[0]):
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def _happen(self, due: TimedJob | Timer, lane: Lane | None) -> None:
        if lane is not None:
            self.ready(lane, due)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            return
        if self._entered is not None:
            self._enter(None)
        due.run()

    def _push(self, when: float, due: TimedJob | Timer, lane: Lane | None) -> None:
        heapq.heappush(self._timers, (when, self.number(), due, lane))
        if len(self._timers) > self._sweep_at:  # time limits are mostly cancelled long before they are due
            self._timers = [entry for entry in self._timers if not self._is_void(entry)]
            heapq.heapify(self._timers)
            self._sweep_at = _FEWEST_TO_SWEEP + 2 * len(self._timers)

    @staticmethod
    def _is_void(entry: tuple[float, int, TimedJob | Timer, Lane | None]) -> bool:
        lane = entry[3]
        return entry[2].cancelled() or (lane is not None and lane.is_dead)

    def _enter(self, lane: Lane | None) -> None:
        if lane is None:
            _set_running_loop(None)
            sys.set_asyncgen_hooks(None, None)
        else:
            _set_running_loop(lane.loop)
            sys.set_asyncgen_hooks(*lane.hooks)
        self._entered = lane

    def _give_up(self, why: str) -> NoReturn:
        lines = [f"the simulated run cannot go on at {self.elapsed_s} s, after {self.steps} turns: {why}"]
        for lane in self._lanes:
            lines.append(f"  {lane.name} ({lane.state()}, {len(lane.ready)} ready):")
            lines += [f"    {line}" for line in what_waits(lane.loop) or ["no task"]]
        raise StuckError("\n".join(lines))
