"""A bounded pool of threads that the end of the program does not wait for.

The standard pool's threads are joined when the interpreter ends, so that one function that never returns would keep a
stopped node alive for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple["Future[Any]", Callable[[], Any]]


class DaemonThreads(Executor):
    """Run functions in up to ``most`` daemon threads, each started when no other is free; thread-safe."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._lock = Lock()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._unfinished = 0
        self._closed = False

    @property
    def unfinished(self) -> int:
        """How many functions run or wait to be run."""
        return self._unfinished

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See :meth:`concurrent.futures.Executor.submit`."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                message = f"the threads {self._name!r} are shut down"
                raise RuntimeError(message)
            self._unfinished += 1
            self._queue.put((future, partial(fn, *args, **kwargs)))
            if self._unfinished > len(self._threads) and len(self._threads) < self._most:
                thread = Thread(target=self._work, name=f"{self._name} {len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end, each when it has nothing left to do; ``wait`` until then, however long that takes."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                self._cancel_waiting()
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _cancel_waiting(self) -> None:
        with suppress(Empty):
            while True:
                job = self._queue.get_nowait()
                if job is not None:
                    job[0].cancel()
                    self._unfinished -= 1

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            future, function = job
            if future.set_running_or_notify_cancel():
                self._run(future, function)
            else:
                self._finished()
            del job, future, function  # while this thread waits it must not keep alive what it has worked on

    def _run(self, future: Future[Any], function: Callable[[], Any]) -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            self._finished()
            future.set_exception(error)
        else:
            self._finished()
            future.set_result(result)

    def _finished(self) -> None:
        with self._lock:
            self._unfinished -= 1
