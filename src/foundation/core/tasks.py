"""Tasks with an owner: the only file that creates any.

A :class:`TaskScope` is an async context manager. Whoever leaves it has cancelled and awaited every task that was
started in it, so nothing outlives the part of the library that started it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import Any, Self, TypeVar

from foundation.core.backoff import Backoff
from foundation.core.sources import draw

logger = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE_S = 10.0
"""Seconds for which a cancelled task may clean up before it is cancelled again."""

RESTART = Backoff(first_s=0.2, most_s=15.0)


class TaskScope:
    """Own background tasks; a failing one is logged and never takes its siblings or the user's code along."""

    def __init__(self, owner: str, *, chance: Callable[[], float] = draw) -> None:
        self._owner = owner
        self._chance = chance
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        """Count the tasks that are not finished."""
        return len(self._tasks)

    @property
    def is_closed(self) -> bool:
        """Whether no more tasks can be started."""
        return self._closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def start(self, work: Coroutine[Any, Any, T], name: str, *, context: Context | None = None) -> asyncio.Task[T]:
        """Run ``work`` once in a task; an error it ends with is logged with the task's name.

        ``context`` holds its context variables; without one they are copied from the caller.
        """
        if self._closed:
            work.close()
            message = f"{self._owner} is stopped and starts no tasks"
            raise RuntimeError(message)
        task = asyncio.get_running_loop().create_task(work, name=f"{self._owner}: {name}", context=context)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def keep_running(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[Any]:
        """Run ``work`` and, whenever it fails, run it again after a growing delay; end when it returns."""
        return self.start(self._again_and_again(work, name), name)

    async def close(self, within_s: float | None = None) -> None:
        """Cancel all tasks and wait until each has ended, also when cancelled meanwhile; safe to call twice.

        ``within_s`` is for code that may ignore its cancellation: after so many seconds it is waited for no longer.
        """
        self._closed = True
        deadline = None if within_s is None else asyncio.get_running_loop().time() + within_s
        mine = asyncio.current_task()
        asked: set[asyncio.Task[Any]] = set()
        cancelled: asyncio.CancelledError | None = None
        while tasks := self._tasks - {mine}:
            for task in tasks - asked:  # a second cancellation would break into its cleaning up
                task.cancel()
            asked |= tasks
            left_s = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if left_s is not None and left_s <= 0:
                break
            try:
                _, late = await asyncio.wait(tasks, timeout=_PATIENCE_S if left_s is None else min(left_s, _PATIENCE_S))
            except asyncio.CancelledError as error:
                cancelled = error
            else:
                asked -= late  # what was called ended at that very moment and swallowed the cancellation
        if cancelled is not None:
            raise cancelled

    async def _again_and_again(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._closed:
            began = loop.time()
            try:
                await work()
            except Exception as error:
                failures = 1 if loop.time() - began > RESTART.most_s else failures + 1
                delay_s = RESTART.delay_s(failures, self._chance())
                logger.warning(
                    "%s: %s failed (%s: %s); again in %.1f s",
                    self._owner,
                    name,
                    type(error).__name__,
                    error,
                    delay_s,
                    exc_info=logger.isEnabledFor(logging.DEBUG),
                )
                await asyncio.sleep(delay_s)
            else:
                return

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)
