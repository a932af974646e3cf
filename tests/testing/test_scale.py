"""Simulated clusters as large as the real ones they stand for."""

from __future__ import annotations

import asyncio

import pytest

from foundation.testing import SimulatedCluster, simulate


async def heal_and_time(cluster: SimulatedCluster) -> float:
    """End all partitions and return the seconds until everybody is everybody's member."""
    await cluster.heal()
    healed_at = cluster.simulation.now
    await cluster.until_agreed()
    return cluster.simulation.now - healed_at


@pytest.mark.timeout(120)
def test_many_nodes_are_split_for_ten_minutes_and_agree_after_the_heal() -> None:
    """Both sides give the other one up, and within five seconds of the heal everybody is everybody's member again."""

    async def scenario(cluster: SimulatedCluster) -> float:
        one, other = cluster.nodes[:36], cluster.nodes[36:]
        await cluster.partition(one, other)
        await asyncio.sleep(600)
        assert {len(node.view()) for node in one} == {len(one)}
        assert {len(node.view()) for node in other} == {len(other)}
        return await heal_and_time(cluster)

    assert simulate(scenario, 60, seed=1) < 5


def test_a_cluster_at_rest_costs_next_to_nothing() -> None:
    """Nodes that see each other and have nothing to say take few turns: a minute of theirs is soon played."""

    async def scenario(cluster: SimulatedCluster) -> float:
        await asyncio.sleep(5)
        before = cluster.simulation.turns
        await asyncio.sleep(60)
        return (cluster.simulation.turns - before) / 60 / len(cluster.nodes)

    assert simulate(scenario, 10, seed=1) < 4


@pytest.mark.parametrize("cut", ["everybody from everybody", "one from the others"])
def test_ten_absent_nodes_are_back_within_five_seconds(cut: str) -> None:
    """Few dials are shared by all that are sought, and still one of them soon gets through; gossip does the rest."""

    async def scenario(cluster: SimulatedCluster) -> float:
        nodes = cluster.nodes
        for number, node in enumerate(nodes if cut == "everybody from everybody" else nodes[:1]):
            await cluster.partition(node, nodes[number + 1 :])
        await asyncio.sleep(120)
        assert await nodes[0].members() == [("node-0", "up")]
        return await heal_and_time(cluster)

    assert simulate(scenario, 11, seed=1) < 5
