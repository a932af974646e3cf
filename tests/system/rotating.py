"""A node that calls the others without a pause, and prints how that goes: ``python -m tests.system.rotating``."""

from __future__ import annotations

import asyncio
import logging
import sys
from itertools import count

import foundation
from foundation import Cluster, MemberDown, Process, options
from foundation.errors import FoundationError

NAMES = ("a", "b", "c")
_PRINTED_EVERY = 50


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Echo(Process):
    async def say(self, number: int) -> int:
        return number


async def call(cluster: Cluster, name: str) -> None:
    """Call the process of another node, over and over."""
    await cluster.await_name(f"echo/{name}", timeout_s=30)
    echo = options(cluster.ref(Echo, f"echo/{name}"), timeout_s=10)
    for number in count(1):
        try:
            assert await echo.say(number) == number
        except FoundationError as error:
            tell(f"FAILED: a call of {name}: {type(error).__name__}: {error}")
        if number % _PRINTED_EVERY == 0:
            tell(f"{number} calls of {name}")


async def main() -> None:
    """Go on until killed."""
    async with foundation.start_cluster() as cluster, asyncio.TaskGroup() as group:
        await cluster.start_process(Echo, name=f"echo/{cluster.name}")
        tell(f"address {cluster.address}")
        for name in NAMES:
            if name != cluster.name:
                group.create_task(call(cluster, name))
        async for event in cluster.events():
            if isinstance(event, MemberDown):
                tell(f"FAILED: {event.member.name} is down")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
