"""What the tests of the test kit let nodes do."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from foundation import Cluster, Process, options
from foundation.core.tasks import TaskScope
from foundation.errors import FoundationError, NoSuchNameError
from tests.waiting import turns_until


class Tally(Process, wire_name="tests.Tally"):
    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int) -> int:
        self.total += number
        return self.total

    async def store(self, data: bytes) -> int:
        return len(data)

    async def load(self, size: int) -> bytes:
        return bytes(size)


async def start_tally(cluster: Cluster, name: str) -> None:
    await cluster.start_process(Tally, name=name)


async def add(cluster: Cluster, name: str, number: int) -> int:
    return await cluster.ref(Tally, name).add(number)


async def time_to_load(cluster: Cluster, name: str, size: int) -> float:
    before = time.monotonic()
    assert len(await cluster.ref(Tally, name).load(size)) == size
    return time.monotonic() - before


async def echo(cluster: Cluster, value: dict[str, list[int]], *, times: int = 1) -> list[object]:
    return [cluster.name, *[value] * times]


async def fail(cluster: Cluster) -> None:
    message = f"no luck on {cluster.name}"
    raise NoSuchNameError(message)


async def print_lines(cluster: Cluster) -> None:
    sys.stdout.write(f"a line of {cluster.name}\n")
    sys.stdout.flush()
    sys.stderr.write("an error\n")


async def give_tuple(cluster: Cluster) -> tuple[str, int]:
    return cluster.name, 1


async def end(cluster: Cluster) -> None:
    os._exit(len(cluster.members()))


async def never(cluster: Cluster) -> None:
    await cluster.until_lost()


async def try_to_add(cluster: Cluster, name: str, number: int, timeout_s: float) -> int | str:
    """Return the new total, or the name of the error."""
    try:
        return await options(cluster.ref(Tally, name), timeout_s=timeout_s).add(number)
    except FoundationError as error:
        return type(error).__name__


_far: list[Tally] = []


async def start_far_tally(cluster: Cluster, node: str) -> int:
    _far[:] = [await cluster.start_process(Tally, node=node)]
    return await _far[0].add(0)


async def standstill_while_storing(_cluster: Cluster, calls: int, size: int, for_s: float) -> float:
    """Make that many calls at once; return for how many seconds the event loop stood still at most meanwhile."""
    loop = asyncio.get_running_loop()
    end = last = time.monotonic()
    end += for_s
    worst = 0.0
    async with TaskScope("calls") as scope:
        for _ in range(calls):
            scope.start(_far[0].store(bytes(size)), "store")
        while last < end:
            await turns_until(loop.time() + 0.01)
            worst, last = max(worst, time.monotonic() - last), time.monotonic()
    return worst
