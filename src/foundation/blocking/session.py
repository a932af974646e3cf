"""One cluster as threads use it: work goes to its loop, results, errors and the loss of the fabric come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from foundation.blocking.job import Job
from foundation.blocking.loop_thread import LoopThread
from foundation.blocking.running_loop import refuse_running_loop
from foundation.core.tasks import TaskScope
from foundation.errors import FabricLostError, NotRunningError

T = TypeVar("T")

_CANCELLED = "the call was cancelled"


class Session:
    """Run coroutines and functions on the loop for threads that wait; safe to use from any of them."""

    def __init__(self, thread: LoopThread, *, allow_running_loop: bool = False) -> None:
        self.thread = thread
        self._allowed = allow_running_loop
        self._calls = TaskScope("blocking calls")
        self._over: Callable[[], Exception] | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work`` on the loop, in a copy of this thread's context, and return its result or raise its error.

        An interrupt of this thread (Ctrl-C) cancels the work over there and is raised at once.
        """
        job: Job[T] = Job(work, self)
        submitted = False
        try:
            self.refuse_running_loop()
            self.thread.submit(self._begin, job)
            submitted = True
            return job.wait()
        finally:
            if not submitted:
                with suppress(RuntimeError, ValueError):  # an interrupt came so late that the loop has it already
                    work.close()
            elif not job.done:
                self.thread.soon(lambda: self._cancel(job))

    def ask(self, question: Callable[[], T]) -> T:
        """Call a function on the loop and return its result."""
        self.refuse_running_loop()
        job: Job[T] = Job(question, self)
        self.thread.submit(self._answer, job)
        return job.wait()

    def refuse_running_loop(self) -> None:
        """Raise :class:`RunningLoopError` when this thread must not wait."""
        refuse_running_loop(self.thread.loop, allowed=self._allowed)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the calls until the session is closed (called on the loop)."""
        return self._calls.start(work, name)

    async def close(self, make_error: Callable[[], Exception]) -> None:
        """End every call that has no answer with that error, and all later ones (called on the loop)."""
        self._over = self._over or make_error
        await self._calls.close()
        self.thread.fail_all(self, self._over)

    async def close_when_lost(self, until_lost: Coroutine[Any, Any, None]) -> None:
        """Wait until the fabric is lost; from then on every call raises that."""
        try:
            await until_lost
        except FabricLostError as error:
            cause = str(error)
            await self.close(lambda: FabricLostError(cause))

    def _begin(self, job: Job[Any]) -> None:
        if self._over is not None or job.cancelled:
            self.thread.finished(job)
            job.fail(self._over() if self._over else NotRunningError(_CANCELLED))
        else:
            job.task = self._calls.start(self._carry(job), "call", context=job.context)

    async def _carry(self, job: Job[Any]) -> None:
        try:
            result = await job.work
        except asyncio.CancelledError:
            job.fail(self._over() if self._over else NotRunningError(_CANCELLED))
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            job.fail(error)
        else:
            job.finish(result)
        finally:
            self.thread.finished(job)

    def _answer(self, job: Job[Any]) -> None:
        self.thread.finished(job)
        try:
            if self._over is not None:
                raise self._over()  # noqa: TRY301 - handed over like any other
            job.finish(job.work())
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            job.fail(error)

    def _cancel(self, job: Job[Any]) -> None:
        job.cancelled = True
        if job.task is not None:
            # Not at once: a task that is cancelled before its first step never runs, and never ends its job.
            self.thread.loop.call_soon(job.task.cancel)
