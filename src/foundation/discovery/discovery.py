"""Run all strategies at once and pass on what they find; nothing that a strategy does can hurt the node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from foundation.core.secret import Secret
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.discovery.options import DiscoveryOptions
from foundation.discovery.peers import Announcement
from foundation.discovery.runner import Found, StrategyRunner, StrategyStatus, Timing
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import AlreadyRunningError

logger = logging.getLogger(__name__)


class Discovery:
    """Look for peers with every strategy, from entering until leaving.

    ``found(strategy_name, peers)`` is called in the event loop after each lookup that succeeded, without this
    node itself. It has no opposite: a lookup that fails, or finds fewer than before, takes nobody away.
    """

    def __init__(
        self,
        strategies: Mapping[str, DiscoveryStrategy],
        announcement: Announcement,
        found: Found,
        options: DiscoveryOptions | None = None,
        *,
        fallback: Mapping[str, DiscoveryStrategy] | None = None,
        chance: Callable[[], float] = draw,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; the names of the strategies are for logs and the status.

        The strategies of ``fallback`` begin once all others have looked and found nobody, and then go on.
        """
        self._options = options or DiscoveryOptions()
        self._loops = TaskScope("discovery")
        self._foreign = TaskScope("discovery")
        self._sleep = sleep
        timing = Timing(chance, sleep)

        def runner(name: str, strategy: DiscoveryStrategy) -> StrategyRunner:
            return StrategyRunner(
                name,
                strategy,
                announcement=announcement,
                found=found,
                options=self._options,
                timing=timing,
                tasks=self._foreign,
            )

        self._strategies = {**strategies, **(fallback or {})}
        self._runners = {name: runner(name, strategy) for name, strategy in strategies.items()}
        self._fallback = {name: runner(name, strategy) for name, strategy in (fallback or {}).items()}
        self._entered = False

    async def __aenter__(self) -> Self:
        """Begin; returns at once, however slow a strategy is."""
        if self._entered:
            message = "discovery can be started once"
            raise AlreadyRunningError(message)
        self._entered = True
        for name, runner in self._runners.items():
            self._loops.keep_running(runner.run, name)
        if self._fallback:
            self._loops.start(self._fall_back(), "fall back")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Say goodbye everywhere, within the time limits, and stop."""
        try:
            await self._loops.close()
        finally:
            # Abandoned code is cut off from its task; only a task that it started itself can still hold us.
            await self._foreign.close(within_s=self._options.grace_s)

    def use_cookie(self, cookie: Secret) -> None:
        """Give the strategies the secret that all nodes share; to be called before entering, and when it changes."""
        for name, strategy in self._strategies.items():
            try:
                strategy.use_cookie(cookie)
            except Exception:
                logger.exception("discovery %s: cannot use the cookie", name)

    def options_changed(self) -> None:
        """Go by what the options say now, also those who rest between two lookups."""
        for runner in (*self._runners.values(), *self._fallback.values()):
            runner.options_changed()

    async def first_round(self, timeout_s: float) -> bool:
        """Return true once each strategy has tried its first lookup, or false after ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                for runner in self._runners.values():
                    await runner.tried.wait()
        except TimeoutError:
            return False
        return True

    def status(self) -> dict[str, StrategyStatus]:
        """Tell how each strategy is doing."""
        return {name: runner.status for name, runner in (self._runners | self._fallback).items()}

    def most_found(self) -> int | None:
        """Return how many other nodes the strategy knows of that knows most; None while none of them has answered.

        Those of the fallback do not count.
        """
        answered = [status.peers for status in (r.status for r in self._runners.values()) if status.lookups]
        return max(map(len, answered), default=None)

    async def _fall_back(self) -> None:
        """Begin with the fallback when the others have found nobody for a while."""
        for runner in self._runners.values():
            await runner.tried.wait()
        await self._sleep(self._options.fallback_after_s)
        while any(runner.status.peers for runner in self._runners.values()):
            await self._sleep(self._options.poll_interval_s)
        logger.warning(
            "discovery: %s found nobody; %s is asked too", ", ".join(self._runners), ", ".join(self._fallback)
        )
        for name, runner in self._fallback.items():
            self._loops.keep_running(runner.run, name)
