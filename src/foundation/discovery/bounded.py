"""Run code that is not ours so that it can neither hang, nor break, nor outlive us."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, Generic, TypeVar, cast

from foundation.core.tasks import TaskScope
from foundation.discovery.options import DiscoveryOptions
from foundation.errors import FoundationError

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_TEXT = 600


class BoundedCallError(Exception):
    """The foreign code raised, or did not end in time; the message is one line."""


class Severable(Generic[T]):
    """Await foreign work in a task that can be cut off from it, should it ignore its cancellation."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self.severed = False

    async def outcome(self) -> tuple[T] | BaseException:
        """Return the result in a tuple, or what it raised; what ends the program or the task goes through."""
        try:
            return (await self,)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
            return error

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass everything between the work and its task, until severed."""
        inner = self._work().__await__()
        step: Callable[[], Any] = partial(next, inner)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return cast("T", end.value)
            try:
                yield waits_for
            except BaseException as error:  # thrown in by the task, for the work to see
                if self.severed:
                    _close(inner)
                    raise
                step = partial(_throw, inner, error)
            else:
                step = partial(next, inner)


class BoundedCalls:
    """Call foreign code within time limits."""

    def __init__(self, tasks: TaskScope, options: DiscoveryOptions) -> None:
        """Run in ``tasks``; who is cancelled gets the ``grace_s`` seconds of the options to clean up."""
        self._tasks = tasks
        self._options = options

    async def call(self, work: Callable[[], Awaitable[T]], name: str, limit_s: float) -> T:
        """Return what ``work`` returns, or raise :class:`BoundedCallError`."""
        severable = Severable(work)
        task = self._tasks.start(severable.outcome(), name)
        try:
            await asyncio.wait({task}, timeout=limit_s)
            in_time = task.done()
        finally:
            await self.end(severable, task)
        if not in_time:
            message = f"no answer within {limit_s:g} s"
            raise BoundedCallError(message)
        result: T = unpack(task)
        return result

    async def end(self, severable: Severable[T], task: asyncio.Task[tuple[T] | BaseException]) -> None:
        """Cancel the task; abandon it when it does not end within the grace time."""
        if task.done():
            return
        task.cancel()
        try:
            await asyncio.wait({task}, timeout=self._options.grace_s)
        finally:
            if not task.done():
                severable.severed = True
                task.cancel()


def unpack(task: asyncio.Task[tuple[T] | BaseException]) -> T:
    """Return the result of a finished task, or raise :class:`BoundedCallError`."""
    if task.cancelled():
        message = "it cancelled itself"
        raise BoundedCallError(message)
    outcome = task.result()
    if isinstance(outcome, BaseException):
        raise BoundedCallError(describe(outcome)) from outcome
    return outcome[0]


def describe(error: BaseException) -> str:
    """Describe any error in one line of bounded length."""
    try:
        text = " ".join(str(error).split())[:MOST_TEXT]
    except BaseException:  # noqa: BLE001 - an error that cannot even be printed
        text = ""
    if isinstance(error, FoundationError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _close(inner: Generator[Any, Any, Any]) -> None:
    # Now, while the event loop runs: the collector would do it later, where the code may spin instead of waiting.
    try:
        inner.close()
    except BaseException as error:  # noqa: BLE001 - it ignores even this
        logger.debug("abandoned code goes on: %s", describe(error))


def _throw(inner: Generator[Any, Any, Any], error: BaseException) -> Any:  # noqa: ANN401
    throw = getattr(inner, "throw", None)
    if throw is None:  # an awaitable may be any iterator
        raise error
    return throw(error)
