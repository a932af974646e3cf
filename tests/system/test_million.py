"""A million calls leave nothing behind."""

from __future__ import annotations

import sys

import pytest

from tests.system.pairs import pair, told

COUNTERS = """
class Counter(foundation.Process, wire_name="Counter"):
    def __init__(self):
        self.value = 0
    async def add(self, n: int) -> int:
        self.value += n
        return self.value
    async def numbers(self):
        number = 0
        while True:
            yield number
            number += 1

def footprint():
    host = parts().host
    return {
        "rss": int(open("/proc/self/statm").read().split()[1]),
        "tasks": len(asyncio.all_tasks()),
        "calls": len(host.calls),
        "streams": len(host.calls._streams),
        "requests": len(host._requests),
    }

class Scale(foundation.Process, wire_name="Scale"):
    async def weigh(self) -> dict[str, int]:
        gc.collect()
        return footprint()
"""

STORY = """
async def story(cluster):
    server = await server_of(cluster)
    scale = await cluster.start_process(Scale, node=server)
    counters = [await cluster.start_process(Counter, node=server) for _ in range(64)]
    await until_linked(server)
    at_rest = {}

    async def caller(numbers):
        for n in numbers:
            await counters[n % 64].add(1)

    async def call(count):
        numbers = iter(range(count))
        await asyncio.gather(*[caller(numbers) for _ in range(256)])

    async def read_one(n):
        async for number in counters[n % 64].numbers():
            break

    async def weighed():
        gc.collect()
        return {"driver": footprint(), "server": await scale.weigh()}

    await call(100_000)
    start = await weighed()
    tell(event="Warm", **start)
    await call(900_000)
    for wave in range(10):
        await asyncio.gather(*[read_one(n) for n in range(100)])
    end = {}
    async def settled():
        end.update(await weighed())
        return all(end[node][what] <= most for node in start for what, most in start[node].items() if what != "rss")
    await until(settled)
    total = sum(await asyncio.gather(*[counter.add(0) for counter in counters]))
    tell(event="Done", total=total, **end)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to read how much memory a program has")
@pytest.mark.timeout(90)
async def test_a_million_calls_leave_nothing_behind() -> None:
    """Between 100,000 and a million calls neither side grows by more than 5 %; no task, call or stream is left."""
    async with pair(COUNTERS, STORY) as (driver, _, _):
        warm, done = await told(driver, "Warm", 60), await told(driver, "Done", 60)
        assert done["total"] == 1_000_000
        for node in ("driver", "server"):
            before, after = warm[node], done[node]
            assert abs(after.pop("rss") / before.pop("rss") - 1) <= 0.05
            assert before["streams"] == 0
            assert all(after[what] <= most for what, most in before.items()), (before, after)
