"""What runs beside the mailbox of a child when it moves: streams, and calls of concurrent methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import foundation
from foundation import Process, concurrent
from foundation.cluster import Cluster
from foundation.errors import ChildStartError, NodeDown, RemoteError
from foundation.testing import SimulatedCluster, SimulatedNode, simulate
from tests.distribution import children as c

SLOW_S = 0.5
STOP_S = 5.0
"""How long a process has to stop."""


class Ticker(Process, wire_name="tests.distribution.Ticker"):
    """Counts what it gives out, and takes its time to move."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = 0

    async def started(self) -> None:
        if self.process_id.node in c.BROKEN:
            message = "not here"
            raise RuntimeError(message)

    async def ticks(self, pause_s: float = 0.1) -> AsyncIterator[int]:
        try:
            while True:
                self.count += 1
                yield self.count
                await asyncio.sleep(pause_s)
        finally:
            self.closed += 1

    async def deaf(self) -> AsyncIterator[int]:
        """Give one item, and then keep each cancellation to itself."""
        yield 0
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                continue

    @concurrent
    async def bump(self, after_s: float = 0.0) -> int:
        await asyncio.sleep(after_s)
        self.count += 1
        return self.count

    async def state(self) -> tuple[int, int]:
        return self.count, self.closed

    async def snapshot(self) -> tuple[int, int]:
        await asyncio.sleep(SLOW_S)
        return self.count, self.closed

    async def restore(self, state: tuple[int, int]) -> None:
        await asyncio.sleep(SLOW_S)
        self.count, self.closed = state


class Read:
    """What a reader has seen."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.error: Exception | None = None
        self.ended_at: float | None = None

    async def run(self, cluster: Cluster, method: str = "ticks") -> None:
        try:
            async for item in getattr(cluster.ref(Ticker, "it"), method)():
                self.items.append(item)
        except Exception as error:  # noqa: BLE001 - what comes is the result
            self.error = error
        self.ended_at = asyncio.get_running_loop().time()


async def start(cluster: Cluster) -> None:
    c.BROKEN.clear()
    await cluster.children.start(Ticker, name="it")


async def state(cluster: Cluster) -> tuple[int, int]:
    return await foundation.options(cluster.ref(Ticker, "it"), timeout_s=20).state()


async def bump(cluster: Cluster, after_s: float = 0.0) -> int:
    return await foundation.options(cluster.ref(Ticker, "it"), timeout_s=20).bump(after_s)


async def place(cluster: SimulatedCluster) -> tuple[SimulatedNode, SimulatedNode, SimulatedNode]:
    """Start the child; return its node, where it is to go, and a third."""
    await cluster.nodes[0].run(start)
    here = await c.owner(cluster, "it")
    there, other = c.others(cluster, here)
    return here, there, other


@pytest.mark.parametrize("whose", [0, 1, 2])
def test_a_stream_ends_with_an_error_when_its_child_moves(whose: int) -> None:
    """Soon, wherever it is read, and all that it gave is in the state that moves; it can be opened again at once."""

    async def scenario(cluster: SimulatedCluster) -> None:
        here, there, _ = nodes = await place(cluster)
        read, again = Read(), Read()
        reader = nodes[whose]
        reading = asyncio.ensure_future(reader.run(read.run))
        await asyncio.sleep(0.35)
        began = asyncio.get_running_loop().time()
        await here.run(c.migrate, "it", there.name)
        assert asyncio.get_running_loop().time() - began < 2 * SLOW_S + 0.1
        await reading
        assert isinstance(read.error, RemoteError)
        assert "was to be moved while it handled Ticker.ticks" in str(read.error)
        assert read.ended_at is not None
        assert read.ended_at - began < 0.1
        assert read.items == [1, 2, 3, 4]
        assert await reader.run(state) == (4, 1)
        rereading = asyncio.ensure_future(reader.run(again.run))
        await asyncio.sleep(0.35)
        await here.run(c.stop, "it")
        await rereading
        assert again.items == [5, 6, 7, 8]
        assert "was stopped while it handled Ticker.ticks" in str(again.error)

    simulate(scenario, 3, seed=1)


def test_what_is_asked_of_a_moving_child_follows_it() -> None:
    """Streams and concurrent calls that come during a move run at the other node, on the state that moved."""

    async def scenario(cluster: SimulatedCluster) -> None:
        here, there, other = await place(cluster)
        moving = asyncio.ensure_future(here.run(c.migrate, "it", there.name))
        await asyncio.sleep(SLOW_S / 2)
        read = Read()
        reading = asyncio.ensure_future(other.run(read.run))
        bumping = asyncio.ensure_future(here.run(bump))
        await asyncio.sleep(SLOW_S / 4)
        assert read.items == []
        assert not bumping.done()
        await moving
        await asyncio.sleep(0.25)
        assert sorted([await bumping, *read.items]) == list(range(1, 2 + len(read.items)))
        assert len(read.items) > 1
        assert (await other.run(state))[0] == 1 + len(read.items)
        there.kill()
        await reading
        assert isinstance(read.error, NodeDown)

    simulate(scenario, 3, seed=1)


def test_calls_under_way_are_through_before_a_child_moves() -> None:
    """What they change is in the state that moves; who takes longer than a process has to stop is told."""

    async def scenario(cluster: SimulatedCluster) -> None:
        here, there, other = await place(cluster)
        calls = [asyncio.ensure_future(other.run(bump, after_s)) for after_s in (STOP_S - 1, STOP_S + 2)]
        await asyncio.sleep(0.5)
        await here.run(c.migrate, "it", there.name)
        assert await calls[0] == 1
        with pytest.raises(RemoteError, match="was to be moved"):
            await calls[1]
        assert await other.run(state) == (1, 0)
        assert await c.owner(cluster, "it") is there

    simulate(scenario, 3, seed=1)


def test_what_came_while_a_child_could_not_move_runs_where_it_is() -> None:
    """A move that fails ends the streams that were read; those that came meanwhile, and later ones, run."""

    async def scenario(cluster: SimulatedCluster) -> None:
        here, there, other = await place(cluster)
        c.BROKEN.add(there.node_id)
        first, second, third = Read(), Read(), Read()
        readings = [asyncio.ensure_future(other.run(first.run))]
        await asyncio.sleep(0.05)
        moving = asyncio.ensure_future(here.run(c.migrate, "it", there.name))
        await asyncio.sleep(SLOW_S / 2)
        readings.append(asyncio.ensure_future(other.run(second.run)))
        with pytest.raises(RemoteError) as raised:
            await moving
        assert isinstance(raised.value.__cause__, ChildStartError)
        assert isinstance(first.error, RemoteError)
        readings.append(asyncio.ensure_future(other.run(third.run)))
        await asyncio.sleep(0.25)
        assert sorted(second.items + third.items) == list(range(2, 2 + len(second.items + third.items)))
        assert len(second.items) >= len(third.items) == 3
        assert (second.error, third.error) == (None, None)
        here.kill()
        await asyncio.gather(*readings)
        assert {type(second.error), type(third.error)} == {NodeDown}

    simulate(scenario, 3, seed=1)


def test_a_stream_that_does_not_end_holds_up_neither_its_reader_nor_the_move() -> None:
    """One that keeps its cancellation to itself is given as long as a process has to stop, and is left alone then."""

    async def scenario(cluster: SimulatedCluster) -> None:
        here, there, other = await place(cluster)
        read = Read()
        reading = asyncio.ensure_future(other.run(read.run, "deaf"))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await here.run(c.migrate, "it", there.name)
        took_s = asyncio.get_running_loop().time() - began
        assert STOP_S < took_s < STOP_S + 2 * SLOW_S + 0.1
        await reading
        assert isinstance(read.error, RemoteError)
        assert "does not heed that it was cancelled" in str(read.error)
        await c.until(lambda: len(c.processes(cluster, "it")) == 1, 2 * STOP_S)
        assert await c.owner(cluster, "it") is there

    simulate(scenario, 3, seed=1)
