"""Keep one strategy going: start it, look up, rest, and after a failure try again.

Consistency: what was found stays known until the next successful lookup; a failure changes only the health.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from foundation.core.tasks import TaskScope
from foundation.discovery.bounded import BoundedCallError, BoundedCalls, Severable, unpack
from foundation.discovery.options import DiscoveryOptions
from foundation.discovery.peers import Announcement, Peer, checked_peers
from foundation.discovery.strategy import DiscoveryStrategy

logger = logging.getLogger(__name__)

Found = Callable[[str, frozenset[Peer]], None]


@dataclass(frozen=True, slots=True)
class StrategyStatus:
    """How one strategy is doing."""

    healthy: bool | None
    """Whether its last attempt succeeded; None before the first has ended."""

    last_error: str | None
    """The most recent failure in one line, also after a recovery."""

    failures: int
    """Failed attempts in a row."""

    lookups: int
    """Lookups that succeeded."""

    peers: frozenset[Peer]
    """What the last of them found."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Sources of chance and waiting, so that a test can turn them."""

    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class StrategyRunner:
    """The loop around one strategy."""

    def __init__(
        self,
        name: str,
        strategy: DiscoveryStrategy,
        *,
        announcement: Announcement,
        found: Found,
        options: DiscoveryOptions,
        timing: Timing,
        tasks: TaskScope,
    ) -> None:
        """Run foreign code in ``tasks``, which must outlive the task of :meth:`run`."""
        self._name = name
        self._strategy = strategy
        self._announcement = announcement
        self._found = found
        self._options = options
        self._timing = timing
        self._tasks = tasks
        self._calls = BoundedCalls(tasks, options)
        self._resting: asyncio.Task[None] | None = None
        self._started = False
        self._status = StrategyStatus(None, None, 0, 0, frozenset())
        self.tried = asyncio.Event()
        """Set once the first attempt has ended, well or badly."""

    @property
    def status(self) -> StrategyStatus:
        """How it is going."""
        return self._status

    def options_changed(self) -> None:
        """Rest no longer than the options say now."""
        if self._resting is not None:
            self._resting.cancel()

    async def run(self) -> None:
        """Go on until cancelled, then say goodbye."""
        try:
            while True:
                await self._turn()
        finally:
            await self._stop()

    async def _turn(self) -> None:
        try:
            self._succeeded(await self._attempt())
            self.tried.set()
            await self._rest()
        except BoundedCallError as error:
            self._failed(str(error))
            self.tried.set()
            if not self._started or self._status.failures % self._options.restart_after == 0:
                await self._stop()
            delay_s = self._options.backoff.delay_s(self._status.failures, self._timing.chance())
            await self._timing.sleep(min(delay_s, self._interval_s()))

    async def _attempt(self) -> frozenset[Peer]:
        if not self._started:
            await self._calls.call(self._start, f"start {self._name}", self._options.start_timeout_s)
            self._started = True
        return await self._calls.call(self._lookup, f"look up {self._name}", self._options.lookup_timeout_s)

    async def _start(self) -> None:
        await self._strategy.start(self._announcement)

    async def _lookup(self) -> frozenset[Peer]:
        # Checked here, inside the bounded call, because a lookup may return a generator of its own making.
        return checked_peers(await self._strategy.lookup(), self._announcement, self._options.most_peers)

    async def _rest(self) -> None:
        """Wait for the next poll, or until the strategy says that something changed."""
        gap_s = self._options.shortest_gap_s
        await self._timing.sleep(gap_s)
        changed = Severable(self._strategy.wait_changed)
        watching = self._tasks.start(changed.outcome(), f"watch {self._name}")
        delay_s = max(0.0, self._delay_s() - gap_s)
        try:
            while not await self._sleep(delay_s, watching):
                delay_s = self._interval_s() * self._timing.chance()  # nodes whose options changed at once poll apart
            if watching.done():
                unpack(watching)
        finally:
            await self._calls.end(changed, watching)

    async def _sleep(self, delay_s: float, watching: asyncio.Task[Any]) -> bool:
        """Sleep until then or until something changed; return false when the options did meanwhile."""
        resting = self._resting = self._tasks.start(self._rest_for(delay_s), f"rest {self._name}")
        try:
            await asyncio.wait({watching, resting}, return_when=asyncio.FIRST_COMPLETED)
            return not resting.cancelled()
        finally:
            self._resting = None
            resting.cancel()

    async def _rest_for(self, delay_s: float) -> None:
        await self._timing.sleep(delay_s)

    def _interval_s(self) -> float:
        """Return how long it is from one lookup to the next; one that fails is made again no later."""
        own = cast("object", getattr(self._strategy, "poll_interval_s", None))
        return own if isinstance(own, int | float) and own > 0 else self._options.poll_interval_s

    def _delay_s(self) -> float:
        interval_s, chance = self._interval_s(), self._timing.chance()
        if self._status.lookups == 1:
            return interval_s * chance  # nodes that were started together poll apart from now on
        return interval_s * (1 + self._options.poll_jitter * (2 * chance - 1))

    async def _stop(self) -> None:
        self._started = False
        try:
            await self._calls.call(self._goodbye, f"stop {self._name}", self._options.stop_timeout_s)
        except BoundedCallError as error:
            logger.debug("discovery %s: cannot stop: %s", self._name, error)

    async def _goodbye(self) -> None:
        await self._strategy.stop()

    def _succeeded(self, peers: frozenset[Peer]) -> None:
        before = self._status
        self._status = replace(before, healthy=True, failures=0, lookups=before.lookups + 1, peers=peers)
        if before.failures:
            logger.info("discovery %s: works again after %d failures", self._name, before.failures)
        if peers != before.peers:
            is_less = len(peers) < len(before.peers)  # that costs nobody a link, but somebody may wonder later
            level = logging.INFO if is_less else logging.DEBUG
            logger.log(level, "discovery %s: finds %d peers, before %d", self._name, len(peers), len(before.peers))
        try:
            self._found(self._name, peers)
        except Exception:  # a listener's mistake is not the strategy's failure
            logger.exception("discovery %s: the listener failed", self._name)

    def _failed(self, why: str) -> None:
        before = self._status
        self._status = replace(before, healthy=False, last_error=why, failures=before.failures + 1)
        if not before.failures:
            phase = "lookup" if self._started else "start"
            logger.warning("discovery %s: the %s failed (%s); trying on", self._name, phase, why)
        else:
            logger.debug("discovery %s: failed %d times in a row (%s)", self._name, before.failures + 1, why)
