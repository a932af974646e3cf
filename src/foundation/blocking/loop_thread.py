"""An event loop in a daemon thread, and the way into it for other threads.

One loop serves all clusters of a program; it begins with the first one and ends with the last.

*Consistency.* What one thread submits begins in that order. A burst of submissions costs one wake-up of the loop. Once
the loop is gone, whatever was submitted has failed and whatever is submitted is refused, so nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from foundation.blocking.job import Job
from foundation.core.loops import new_event_loop
from foundation.core.tasks import TaskScope
from foundation.errors import NotRunningError

logger = logging.getLogger(__name__)

_STOPPED = "the cluster is stopped: use it inside `with foundation.blocking.start_cluster()`"
_FORKED = (
    "this process was forked from one that had started a cluster, whose threads stayed behind: start clusters in the "
    "workers only (gunicorn: post_fork, without --preload; uWSGI: postfork; Celery: worker_process_init)"
)
_THREAD_END_S = 5.0


class LoopThread:
    """A loop that begins what other threads submit."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self.users = 0
        self.is_forked = False
        self.stops: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._queue: deque[tuple[Callable[[Job[Any]], None], Job[Any]]] = deque()
        self._open: set[Job[Any]] = set()
        self._awake = False
        self._over: str | None = None
        self._ended = asyncio.Event()
        self._tasks = TaskScope("blocking clusters")
        self._thread = Thread(target=self._run, name="foundation", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether the loop has ended, perhaps because something on it ended it."""
        return self._over is not None

    def submit(self, begin: Callable[[Job[Any]], None], job: Job[Any]) -> None:
        """Have ``begin(job)`` called on the loop soon; the job fails with NotRunningError when the loop is gone."""
        self._queue.append((begin, job))
        if not self._awake:
            self._awake = True
            self.soon(self._drain)
        if self._over is not None:  # looked at last: it may have ended meanwhile, before it could see this job
            self._fail_waiting()

    def soon(self, what: Callable[[], object]) -> None:
        """Have something done on the loop, if there still is one."""
        if self._over is None:
            with suppress(RuntimeError):  # closed at this very moment
                self.loop.call_soon_threadsafe(what)

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something until it is done or the thread ends (called on the loop)."""
        return self._tasks.start(work, name)

    def finished(self, job: Job[Any]) -> None:
        """Forget a job that has its outcome."""
        self._open.discard(job)

    def fail_all(self, owner: object, make_error: Callable[[], Exception]) -> None:
        """Fail the jobs of one owner that have no outcome yet."""
        for job in [job for job in self._open if job.owner is owner]:
            self._open.discard(job)
            job.fail(make_error())

    def join(self, timeout_s: float = _THREAD_END_S) -> None:
        """Wait until the thread has ended, if nobody uses it any more."""
        if self._ended.is_set():
            self._thread.join(timeout_s)

    def end(self) -> None:
        """Let the thread end (called on the loop)."""
        self._ended.set()

    def forked(self) -> None:
        """Refuse everything: this is a child process, and the thread is not in it."""
        self.is_forked = True
        self._over = _FORKED
        self._queue.clear()

    def _drain(self) -> None:
        self._awake = False
        for _ in range(len(self._queue)):  # what comes meanwhile wakes the loop again, after its other work
            begin, job = self._queue.popleft()
            self._open.add(job)
            begin(job)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                try:
                    runner.run(self._serve())
                except (SystemExit, KeyboardInterrupt) as error:  # these pass through a loop and break it off
                    logger.error("%r was raised on the clusters' event loop: they are stopped", error)  # noqa: TRY400
                    runner.run(self._stop_users())
                finally:
                    self._close_queue()
        except RuntimeError as error:  # at interpreter exit no thread can be started to wind up the executor
            logger.debug("the event loop was closed, but for its executor: %s", error)

    async def _serve(self) -> None:
        async with self._tasks:
            await self._ended.wait()

    async def _stop_users(self) -> None:
        for stop in list(self.stops):
            await stop()

    def _close_queue(self) -> None:
        self._ended.set()
        self._over = self._over or _STOPPED
        self._fail_waiting()
        for job in list(self._open):
            self._open.discard(job)
            job.fail(NotRunningError(_STOPPED))

    def _fail_waiting(self) -> None:
        with suppress(IndexError):
            while True:
                self._queue.popleft()[1].fail(NotRunningError(self._over))


class _Shared:
    """The one loop thread of this program, while anybody uses it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: LoopThread | None = None
        self._was_used = False
        self._is_forked = False

    def enter(self) -> LoopThread:
        if self._is_forked:
            raise NotRunningError(_FORKED)
        with self._lock:
            self._was_used = True
            if self._thread is None or self._thread.is_over:
                self._thread = LoopThread()
            self._thread.users += 1
            return self._thread

    def leave(self, thread: LoopThread) -> None:
        with self._lock:
            thread.users -= 1
            if thread.users == 0:
                thread.end()
                if self._thread is thread:
                    self._thread = None

    def forked(self) -> None:
        self._lock = Lock()  # another thread of the parent may have held it
        self._is_forked = self._was_used  # Zenoh cannot be started again either: its threads are gone, not its state
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.forked()


_shared = _Shared()
enter_thread = _shared.enter
"""Return the loop thread, started if need be, and count one more user; NotRunningError in a forked process."""

leave_thread = _shared.leave
"""Count one user less (on the loop); without any the thread ends."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forked)
