"""What the tests of the test kit let nodes do."""

from __future__ import annotations

import os
import sys
import time

from foundation import Cluster, Process, options
from foundation.errors import FoundationError, NoSuchNameError


class Tally(Process, wire_name="tests.Tally"):
    def __init__(self) -> None:
        self.total = 0

    async def add(self, number: int) -> int:
        self.total += number
        return self.total

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
