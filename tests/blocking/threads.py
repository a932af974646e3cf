"""What the tests of this folder share: waiting without a loop, and threads whose outcome counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import pytest

T = TypeVar("T")

_LOOK_AGAIN_S = 0.005
WITHIN_S = 10.0


def eventually(look: Callable[[], T], *, within_s: float = WITHIN_S) -> T:
    """Return the first value of ``look()`` that is true, or fail and show what it last was."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() >= deadline:
            pytest.fail(f"it did not happen within {within_s} s; last seen: {seen!r}")
        pause.wait(_LOOK_AGAIN_S)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Run ``work`` in a thread of its own; ask the result for what came of it."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome
