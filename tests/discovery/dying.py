"""A node that dies without a goodbye, and what the others then see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from foundation.discovery.strategy import DiscoveryStrategy
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.waiting import turns_until

BEAT_S = 0.1


async def beat(strategy: DiscoveryStrategy) -> None:
    """Look up again and again, as the framework does."""
    loop = asyncio.get_running_loop()
    while True:
        await strategy.lookup()
        await turns_until(loop.time() + BEAT_S)


@asynccontextmanager
async def alive(strategy: DiscoveryStrategy) -> AsyncGenerator[None]:
    task = asyncio.ensure_future(beat(strategy))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def check_death(make: Callable[[], DiscoveryStrategy], ttl_s: float, late_s: float = 1.0) -> None:
    """One of three nodes is not heard of any more: it is gone after its time to live, and the others stay."""
    one = announcement()
    two, three = announcement(one.cluster), announcement(one.cluster)
    first, second, third = make(), make(), make()
    loop = asyncio.get_running_loop()
    try:
        await first.start(one)
        await second.start(two)
        await third.start(three)
        async with alive(third):
            async with alive(second):
                await until_seen(first, lambda seen: {peer_of(two), peer_of(three)} <= seen, "the two others")
            died_at = loop.time()
            await until_seen(first, lambda seen: peer_of(two) not in seen, "the end of the second", ttl_s + late_s)
            assert loop.time() - died_at > ttl_s / 2, "it was still within its time to live"
            assert peer_of(three) in set(await first.lookup()), "who lives is kept"
    finally:
        for strategy in (first, second, third):
            await strategy.stop()
