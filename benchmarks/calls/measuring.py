"""The shapes of load, the same for every system: one caller that calls in sequence, and many callers at once.

Used inside the programs, so it imports nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Plan:
    """How much is measured; every system gets the same plan."""

    targets: int = 64
    """Processes, actors or servers on the other side."""

    payload_bytes: int = 64
    """Size of the argument, which is also the result."""

    warm_up_s: float = 0.5
    """Seconds of the same load before each measurement."""

    sequential_s: float = 2.0
    """Seconds in which one caller calls one target."""

    concurrent_s: float = 2.0
    """Seconds for each number of callers."""

    callers: tuple[int, ...] = (16, 256)
    """How many callers call at once; the n-th calls the n-th target, and after the last target the first again."""

    @property
    def payload(self) -> bytes:
        """What is sent and comes back."""
        return b"x" * self.payload_bytes

    @property
    def total_s(self) -> float:
        """How long the measurements take, without the start of anything."""
        return self.warm_up_s + self.sequential_s + len(self.callers) * (self.warm_up_s + self.concurrent_s)


class Target(Protocol):
    """Something that can be called."""

    def echo(self, payload: bytes, /) -> Awaitable[bytes]:
        """Return what was sent."""
        ...


def latencies(samples_ns: Sequence[int]) -> dict[str, Any]:
    """Sum up the durations of calls made in sequence."""
    ordered = sorted(samples_ns)
    count = len(ordered)
    return {
        "p50_us": round(ordered[count // 2] / 1e3, 2),
        "p99_us": round(ordered[count * 99 // 100] / 1e3, 2),
        "calls_per_s_1": round(count * 1e9 / sum(ordered)),
        "samples": count,
    }


async def measure(targets: Sequence[Target], plan: Plan) -> dict[str, Any]:
    """Run the whole plan with asyncio callers."""
    for target in targets:
        await check(target, plan.payload)
    await sequential(targets[0], plan.payload, plan.warm_up_s)
    figures = latencies(await sequential(targets[0], plan.payload, plan.sequential_s))
    for callers in plan.callers:
        figures |= await concurrent(targets, plan, callers)
    return figures


async def check(target: Target, payload: bytes) -> None:
    """Fail unless the target returns what it was sent."""
    answer = await target.echo(payload)
    if answer != payload:
        message = f"sent {payload!r}, got {answer!r}"
        raise ValueError(message)


async def sequential(target: Target, payload: bytes, seconds: float) -> list[int]:
    """Call one target again and again, and return how many nanoseconds each call took."""
    clock = time.perf_counter_ns
    samples: list[int] = []
    began = clock()
    end = began + int(seconds * 1e9)
    while began < end or not samples:
        began = clock()
        await target.echo(payload)
        samples.append(clock() - began)
    return samples


async def concurrent(targets: Sequence[Target], plan: Plan, callers: int) -> dict[str, Any]:
    """Keep many callers busy and count the calls that end within the measured time, ramp-up and tail left out."""
    done = [0] * callers
    running = True

    async def caller(number: int) -> None:
        target = targets[number % len(targets)]
        payload = plan.payload
        while running:
            await target.echo(payload)
            done[number] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(number))
        rate = await _count(lambda: sum(done), plan)
        running = False
    return {f"calls_per_s_{callers}": round(rate[0]), f"client_cpu_us_{callers}": round(rate[1], 2)}


async def _count(counter: Callable[[], int], plan: Plan) -> tuple[float, float]:
    """Return calls per second, and the microseconds of this process's CPU time per call."""
    await asyncio.sleep(plan.warm_up_s)
    count, began, cpu = counter(), time.perf_counter(), time.process_time()
    await asyncio.sleep(plan.concurrent_s)
    calls = counter() - count
    elapsed, spent = time.perf_counter() - began, time.process_time() - cpu
    return calls / elapsed, spent * 1e6 / max(calls, 1)
