"""Run this in two terminals: the first starts a counter, both add to it, and each watches it grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import foundation
from foundation import Process
from foundation.errors import NameTakenError


class Counter(Process):
    """A count that anybody in the cluster may raise."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    async def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    async def watch(self, every_s: float = 1.0) -> AsyncIterator[int]:
        while True:  # streams to a remote caller
            yield self.value
            await asyncio.sleep(every_s)


async def main() -> None:
    async with foundation.start_cluster() as cluster:
        try:
            counter = await cluster.start_process(Counter, 5, name="counter")  # typed Counter
            print(f"{cluster.name} runs the counter")
        except NameTakenError:
            counter = cluster.ref(Counter, "counter")  # by name, wherever it is
            print(f"{cluster.name} found the counter")
        await counter.add(2)  # the same near and far
        await foundation.cast(counter.add, 3)  # no reply
        print(await foundation.options(counter, timeout_s=0.5).add())
        print(cluster.cluster_info())
        async for value in counter.watch():
            print(value)


if __name__ == "__main__":
    asyncio.run(main())
