"""Wait for what must come to pass, with a deadline and a word on what was last seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

_LOOK_AGAIN_S = 0.005


async def eventually(look: Callable[[], T], *, within_s: float = 10.0) -> T:
    """Return the first value of ``look()`` that is true; an assertion that fails in it counts as not yet.

    When the time is over the test fails and shows what ``look`` last returned or raised.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            seen: object = look()
        except AssertionError as error:
            seen = error
        else:
            if seen:
                return seen  # type: ignore[return-value]
        if loop.time() >= deadline:
            pytest.fail(f"it did not happen within {within_s} s; last seen: {seen!r}")
        await turns_until(loop.time() + _LOOK_AGAIN_S)


async def turns_until(when: float) -> None:
    """Let the loop work until its clock shows ``when``."""
    loop = asyncio.get_running_loop()
    reached = asyncio.Event()
    timer = loop.call_at(when, reached.set)
    try:
        await reached.wait()
    finally:
        timer.cancel()


async def turns(count: int = 5) -> None:
    """Let everything run that is ready, and what that makes ready, ``count`` times."""
    for _ in range(count):
        await asyncio.sleep(0)
