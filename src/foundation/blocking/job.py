"""One piece of work on its way from a thread to the event loop, and its outcome on the way back."""

from __future__ import annotations

import asyncio
from _thread import allocate_lock
from collections.abc import Coroutine
from contextvars import copy_context
from threading import get_ident, main_thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_LOOK_INTERVAL_S = 0.5


class Job(Generic[T]):
    """What one thread waits for; it is ended once, on the loop, or where the loop is gone.

    A bare lock is the cheapest thing that a thread can wait for and that Ctrl-C interrupts.
    """

    __slots__ = ("_error", "_gate", "_result", "cancelled", "context", "done", "owner", "task", "work")

    def __init__(self, work: Any, owner: object) -> None:  # noqa: ANN401 - only who begins the job knows what it is
        self.work = work
        self.owner = owner
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False
        self.done = False
        self._result: T
        self._error: BaseException | None = None
        self._gate = allocate_lock()
        self._gate.acquire()

    def wait(self, timeout_s: float | None = None) -> T:
        """Return the result or raise the error, once; TimeoutError when neither came in time."""
        if timeout_s is None:
            self._wait_for_ever()
        elif not self._gate.acquire(timeout=timeout_s):
            raise TimeoutError
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # it refers to this frame through its traceback

    def finish(self, result: T) -> None:
        """Hand over the result."""
        if not self.done:
            self._result = result
            self._end()

    def fail(self, error: BaseException) -> None:
        """Hand over what is to be raised; a coroutine that has not run, or not to its end, is closed."""
        if not self.done:
            if isinstance(self.work, Coroutine):
                self.work.close()
            self._error = error
            self._end()

    def _wait_for_ever(self) -> None:
        if get_ident() != main_thread().ident:
            self._gate.acquire()
            return
        # Now and then Python must have a look: a signal that comes just before the wait does not end it.
        while not self._gate.acquire(timeout=_LOOK_INTERVAL_S):
            pass

    def _end(self) -> None:
        self.done = True
        self._gate.release()
