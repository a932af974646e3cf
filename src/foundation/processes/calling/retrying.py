"""Calls of idempotent methods: made again, within their deadline, until it is known what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from foundation.core.backoff import Backoff
from foundation.core.sources import draw
from foundation.errors import NodeDown, NoSuchNameError, NoSuchProcessError, NotDelivered
from foundation.processes.calling.calls import Calls

AGAIN = Backoff(first_s=0.02, most_s=1.0, jitter=0.5)


async def call_again(
    attempt: Callable[[float | None], Awaitable[Any]],
    calls: Calls,
    timeout_s: float | None,
    *,
    may_move: bool,
) -> Any:  # noqa: ANN401
    """Return what the first attempt returns that comes through; each is given the seconds that are left.

    An attempt is followed by another one after NotDelivered and NodeDown, unless the process is gone for good, which
    it cannot be when it ``may_move``: when it is known by its name. When the time is over the error is the last one;
    but never "surely not executed" when one attempt may have been.
    """
    deadline = calls.deadline(timeout_s)
    tries = 0
    unknown: NodeDown | None = None
    while True:
        tries += 1
        left_s = None if deadline is None else deadline - calls.now()
        try:
            return await attempt(left_s)
        except (NotDelivered, NodeDown, NoSuchNameError) as caught:
            error = caught
        if isinstance(error, NodeDown):
            unknown = error
        delay_s = AGAIN.delay_s(tries, draw())
        if _is_final(error, tries, may_move=may_move) or (deadline is not None and calls.now() + delay_s >= deadline):
            break
        await asyncio.sleep(delay_s)
    final = unknown or error
    if tries > 1:
        final.add_note(f"the method is idempotent and was called {tries} times")
    raise final


def _is_final(error: Exception, tries: int, *, may_move: bool) -> bool:
    if isinstance(error, NoSuchNameError):
        return tries == 1  # afterwards the name may be on its way to another process
    return isinstance(error, NoSuchProcessError) and not may_move
