"""The threads and programs of one node, and how the code of a process reaches them.

Consistency: a function of a process that runs in a thread counts as part of the message that is handled. It cannot be
broken off, so a message that is cancelled ends when its function has ended; only then comes the next one. A process
that is stopped waits no longer than ``stop_timeout_s`` and leaves the thread to itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from foundation.processes.offloading.threads import DaemonThreads

if TYPE_CHECKING:
    from foundation.processes.offloading.programs import Programs

logger = logging.getLogger(__name__)

_Outcome = tuple[Any, BaseException | None]


class Workers:
    """The threads and programs of one node; nothing is started before it is needed."""

    def __init__(self, threads: int, programs: int) -> None:
        self.threads = DaemonThreads(threads, "offload")
        self._most_programs = programs
        self._programs: Programs | None = None
        self._closed = False

    @property
    def programs(self) -> Programs:
        """The other programs."""
        if self._closed:
            message = "this node is stopped and runs nothing"
            raise RuntimeError(message)
        if self._programs is None:
            # What it stands on takes a tenth of the whole library's time to import, and few nodes need it.
            from foundation.processes.offloading.programs import Programs  # noqa: PLC0415

            self._programs = Programs(self._most_programs)
        return self._programs

    async def close(self) -> None:
        """End all of them; a function that runs in a thread yet is left to itself, and does not keep Python alive."""
        self._closed = True
        self.threads.shutdown(wait=False, cancel_futures=True)
        if self.threads.unfinished:
            logger.warning("%d offloaded functions run on after the end of their node", self.threads.unfinished)
        programs, self._programs = self._programs, None
        if programs is not None:
            await programs.close()


class Bench:
    """Where the code of one process has its functions run."""

    __slots__ = ("is_over", "workers")

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.is_over = False
        """Whether the time of the process is up: then it waits for no thread."""


current_bench: ContextVar[Bench | None] = ContextVar("foundation_bench", default=None)


async def run_in_thread(function: Callable[[], Any], *, let_go: bool) -> Any:  # noqa: ANN401
    """Run a function in a thread, in a copy of the context; an error of it is raised here.

    When this is cancelled, a function that has not begun never does. One that has is waited for, unless ``let_go``.
    """
    bench = current_bench.get()
    future = (
        _alone(function) if bench is None else bench.workers.threads.submit(copy_context().run, _outcome_of, function)
    )
    waiter = asyncio.wrap_future(future)
    try:
        await asyncio.wait({waiter})
    except asyncio.CancelledError:
        if not (let_go or future.cancel() or (bench is not None and bench.is_over)):
            await asyncio.wait({waiter})  # until it is cancelled again
        raise
    finally:
        waiter.cancel()
    result, error = waiter.result()
    if error is not None:
        raise error
    return result


async def run_in_program(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Run a function in another program; outside of a node, as in a test of a plain object, in a thread."""
    bench = current_bench.get()
    if bench is None:
        return await run_in_thread(partial(function, *args, **kwargs), let_go=True)
    return await bench.workers.programs.run(function, args, kwargs)


def _alone(function: Callable[[], Any]) -> Future[_Outcome]:
    threads = DaemonThreads(1, "offload without a node")
    try:
        return threads.submit(copy_context().run, _outcome_of, function)
    finally:
        threads.shutdown(wait=False)


def _outcome_of(function: Callable[[], Any]) -> _Outcome:
    # Not by way of the future: StopIteration cannot be the exception of one, and who waited for it would wait for ever.
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - raised in the handler
        return None, error
