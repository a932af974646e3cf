"""Several who wait for one thing, each with a future in a list."""

from __future__ import annotations

import asyncio

Waiters = list[asyncio.Future[None]]


async def wait_among(waiters: Waiters) -> None:
    """Wait until :func:`release`; raises the error that was given there."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(waiter)
    try:
        await waiter
    finally:
        if waiter in waiters:
            waiters.remove(waiter)


def release(waiters: Waiters, error: Exception | None = None) -> None:
    """Let all of them go on, or raise ``error``."""
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
