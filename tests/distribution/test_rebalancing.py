"""After a join children stay where they are, or move a few at a time where that is wanted; a drained node gets none."""

from __future__ import annotations

import asyncio
from typing import Any

from foundation import Cluster, Process, spec
from foundation.distribution import DistributionOptions
from foundation.testing import SimulatedCluster, SimulatedNode, simulate

COUNT = 60
AFTER_S = 5.0
PER_S = 10.0


class Holder(Process):
    """Holds a number that moves with it."""

    def __init__(self) -> None:
        self.value = 0

    async def put(self, value: int) -> None:
        """Take a number."""
        self.value = value

    async def get(self) -> int:
        """Return it."""
        return self.value

    async def snapshot(self) -> int:
        """Return what is to move."""
        return self.value

    async def restore(self, state: int) -> None:
        """Go on with it."""
        self.value = state


async def begin(cluster: Cluster) -> None:
    started = await cluster.children.start_all({f"holder/{number}": spec(Holder) for number in range(COUNT)})
    for number, holder in enumerate(started.values()):
        await holder.put(number)


async def count(cluster: Cluster) -> int:
    return len(await cluster.processes())


async def values(cluster: Cluster) -> list[int]:
    return [await cluster.ref(Holder, f"holder/{number}").get() for number in range(COUNT)]


async def drain(cluster: Cluster, name: str) -> int:
    return await cluster.drain(name)


async def counts(cluster: SimulatedCluster) -> list[int]:
    return [await node.run(count) for node in cluster.nodes if node.runs]


def run(scenario: Any, **options: Any) -> None:
    simulate(scenario, 3, seed=1, **options)


async def restarted(cluster: SimulatedCluster) -> SimulatedNode:
    """Let a node leave, start the children on the others, and let it join again."""
    first, _, third = cluster.nodes
    await third.leave()
    await first.run(begin)
    await third.start()
    await cluster.until_agreed()
    return third


def test_a_join_moves_nothing_by_default() -> None:
    """Who joins gets no children that run already."""

    async def scenario(cluster: SimulatedCluster) -> None:
        third = await restarted(cluster)
        await asyncio.sleep(10 * AFTER_S)
        assert await third.run(count) == 0
        assert sum(await counts(cluster)) == COUNT

    run(scenario)


def test_rebalancing_moves_a_share_with_its_state_and_slowly() -> None:
    """Where it is wanted, who joins gets its share: after a pause, at a bounded rate, with nothing lost."""
    options = DistributionOptions(rebalance=True, rebalance_after_s=AFTER_S, rebalance_per_s=PER_S)

    async def scenario(cluster: SimulatedCluster) -> None:
        third = await restarted(cluster)
        await asyncio.sleep(AFTER_S * 0.9)
        assert await third.run(count) == 0, "it did not wait for more joins"
        await asyncio.sleep(AFTER_S * 0.1 + 0.5)
        assert await third.run(count) <= 2 * PER_S, "it moved more than it may"
        await asyncio.sleep(COUNT / PER_S)
        assert COUNT // 6 < await third.run(count) < COUNT // 2
        assert sum(await counts(cluster)) == COUNT
        assert await third.run(values) == list(range(COUNT))

    run(scenario, distribution=options)


def test_a_drained_node_hands_over_everything_and_gets_nothing() -> None:
    """All that it had runs elsewhere with its state, and new children are put elsewhere."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, _, third = cluster.nodes
        await first.run(begin)
        assert await third.run(count) > 0
        assert await first.run(drain, third.name) == 0
        assert await third.run(count) == 0
        assert await third.run(values) == list(range(COUNT))
        await first.run(more)
        assert await third.run(count) == 0
        assert sum(await counts(cluster)) == 2 * COUNT

    run(scenario)


def test_rebalancing_moves_a_share_to_a_node_that_is_drained_no_more() -> None:
    """It gets its share as one that joins does; by default it gets nothing that runs elsewhere."""

    async def scenario(cluster: SimulatedCluster) -> int:
        first, _, third = cluster.nodes
        await first.run(drain, third.name)
        await first.run(begin)
        await first.run(undrain, third.name)
        await asyncio.sleep(AFTER_S + COUNT / PER_S + 1)
        assert sum(await counts(cluster)) == COUNT
        assert await third.run(values) == list(range(COUNT))
        return await third.run(count)

    options = DistributionOptions(rebalance=True, rebalance_after_s=AFTER_S, rebalance_per_s=PER_S)
    assert simulate(scenario, 3, seed=1) == 0
    assert COUNT // 6 < simulate(scenario, 3, seed=1, distribution=options) < 2 * COUNT // 3


async def undrain(cluster: Cluster, name: str) -> None:
    await cluster.undrain(name)


async def more(cluster: Cluster) -> None:
    await cluster.children.start_all({f"more/{number}": spec(Holder) for number in range(COUNT)})
