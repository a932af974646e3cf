"""What the nodes of the benchmark do when they are told."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import time
from pathlib import Path

from foundation import Cluster
from foundation.cluster.assembly import Parts
from foundation.registry import Names

BEGAN = time.monotonic()
"""When this program was ready to start its node."""

_seen: dict[str, float] = {}
_watching: list[asyncio.Task[None]] = []


def parts_of(cluster: Cluster) -> Parts:
    """Return what the public face does not show."""
    assert cluster._parts is not None  # noqa: SLF001
    return cluster._parts  # noqa: SLF001


def names_of(cluster: Cluster) -> Names:
    """Return the registry of a node; the benchmark gives names to processes that need not exist."""
    return parts_of(cluster).names


async def register(cluster: Cluster, prefix: str, count: int, at_a_time: int) -> tuple[float, float] | list[float]:
    """Register names, so many at a time; return when it began and ended, by the clock of the machine."""
    names = names_of(cluster)
    numbers = iter(range(count))
    done: dict[str, float] = {}

    async def some() -> None:
        for number in numbers:
            name = f"{prefix}/{number}"
            await names.register(name, 1_000_000 + number)
            done[name] = time.monotonic()

    began = time.monotonic()
    await asyncio.gather(*(some() for _ in range(at_a_time)))
    ended = time.monotonic()
    _registered.update(done)
    return [began, ended]


_registered: dict[str, float] = {}


async def registered(cluster: Cluster) -> dict[str, float]:
    """Return when each name of this node was registered."""
    del cluster
    return _registered


async def watch(cluster: Cluster) -> None:
    """Note when each name of others becomes visible here."""
    names = names_of(cluster)

    async def note() -> None:
        async for batch in names.watch():
            now = time.monotonic()
            for event in batch:
                _seen.setdefault(event.name, now)

    _watching.append(asyncio.create_task(note()))
    await asyncio.sleep(0)


async def seen(cluster: Cluster) -> dict[str, float]:
    """Return when each name was seen first."""
    del cluster
    return _seen


async def holds(cluster: Cluster, count: int) -> float:
    """Wait until so many names are visible here; return the seconds since this program was ready to start its node."""
    names = names_of(cluster)
    while names.count() != count:
        await asyncio.sleep(0.001)
    return time.monotonic() - BEGAN


async def until_count(cluster: Cluster, count: int) -> float:
    """Wait until so many names are visible here; return when, by the clock of the machine."""
    names = names_of(cluster)
    while names.count() != count:
        await asyncio.sleep(0.001)
    return time.monotonic()


async def look_up(cluster: Cluster, prefix: str, count: int, rounds: int) -> float:
    """Look names up for a while; return look-ups per second."""
    wanted = [f"{prefix}/{number}" for number in range(count)]
    began = time.perf_counter()
    for _ in range(rounds):
        for name in wanted:
            cluster.whereis(name)
    return count * rounds / (time.perf_counter() - began)


async def memory(cluster: Cluster) -> int:
    """Return the bytes of memory that this program has."""
    del cluster
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def pid(cluster: Cluster) -> int:
    """Return the id of this program."""
    del cluster
    return os.getpid()
