"""What the nodes of the benchmark do when they are told."""

from __future__ import annotations

import asyncio
import time

from foundation import Cluster, Process, idempotent, options, spec

_BATCH = 256
_CALL_TIMEOUT_S = 60.0

_pending: list[asyncio.Task[list[float]]] = []


class Counter(Process):
    """A child with a little state."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = b""

    @idempotent
    async def answer(self) -> int:
        """Say who it is."""
        return self.number

    async def fill(self, size: int) -> None:
        """Let its state have so many bytes."""
        self.state = bytes(size)

    async def snapshot(self) -> bytes:
        """Return what is to move with it."""
        return self.state

    async def restore(self, state: bytes) -> None:
        """Go on with what it knew elsewhere."""
        self.state = state


def name_of(number: int) -> str:
    """Return the name of a child."""
    return f"child/{number}"


async def start(cluster: Cluster, first: int, last: int) -> float:
    """Start children, many at once; return when it began, by the clock of the machine."""
    began = time.monotonic()
    wanted = {name_of(number): spec(Counter, number) for number in range(first, last)}
    await cluster.children.start_all(wanted)
    return began


async def call_all(cluster: Cluster, numbers: list[int]) -> float:
    """Call each of these children as soon as it is known, and return when the last one has answered."""

    async def call(number: int) -> None:
        await cluster.await_name(name_of(number), _CALL_TIMEOUT_S)
        assert await options(cluster.ref(Counter, name_of(number)), timeout_s=_CALL_TIMEOUT_S).answer() == number

    for at in range(0, len(numbers), _BATCH):
        await asyncio.gather(*(call(number) for number in numbers[at : at + _BATCH]))
    return time.monotonic()


async def held(cluster: Cluster) -> list[int]:
    """Return which children have their process here."""
    names = [info.name for info in await cluster.processes() if info.name and info.name.startswith("child/")]
    return [int(name.partition("/")[2]) for name in names]


async def begin_to_call(cluster: Cluster, numbers: list[int]) -> None:
    """Have one call to each of these children under way, and note when it is answered."""

    async def call(number: int) -> float:
        await options(cluster.ref(Counter, name_of(number)), timeout_s=_CALL_TIMEOUT_S).answer()
        return time.monotonic()

    async def all_of_them() -> list[float]:
        return list(await asyncio.gather(*(call(number) for number in numbers)))

    _pending.append(asyncio.create_task(all_of_them()))
    await asyncio.sleep(0)


async def answered(cluster: Cluster) -> list[float]:
    """Return when each of the calls under way was answered."""
    del cluster
    return await _pending.pop()


async def fill(cluster: Cluster, numbers: list[int], size: int) -> None:
    """Give some children a state of so many bytes."""
    for number in numbers:
        await cluster.ref(Counter, name_of(number)).fill(size)


async def migrate(cluster: Cluster, numbers: list[int], node: str) -> list[float]:
    """Move these children to a node, one after the other; return the seconds until each answers there."""
    took: list[float] = []
    for number in numbers:
        began = time.monotonic()
        await cluster.migrate(name_of(number), node)
        await cluster.ref(Counter, name_of(number)).answer()
        took.append(time.monotonic() - began)
    return took
