"""Simulated clusters as large as the real ones they stand for."""

from __future__ import annotations

import asyncio

import pytest

from foundation.testing.simulation import Simulation
from foundation.testing.simulation.cluster import SimulatedCluster


@pytest.mark.timeout(120)
def test_many_nodes_are_split_for_ten_minutes_and_agree_after_the_heal() -> None:
    """Both sides give the other one up, and within five seconds of the heal everybody is everybody's member again."""
    simulation = Simulation(seed=1)
    cluster = SimulatedCluster(simulation, 60)
    one, other = cluster.nodes[:36], cluster.nodes[36:]

    async def story() -> float:
        cluster.start()
        await cluster.until_agreed()
        simulation.network.partition([node.host for node in one], [node.host for node in other])
        await asyncio.sleep(600)
        assert {len(node.members()) for node in one} == {len(one)}
        assert {len(node.members()) for node in other} == {len(other)}
        simulation.network.heal()
        healed_at = simulation.now
        await cluster.until_agreed()
        return simulation.now - healed_at

    assert simulation.run(story) < 5


def test_a_cluster_at_rest_costs_next_to_nothing() -> None:
    """Nodes that see each other and have nothing to say take few turns: a minute of theirs is soon played."""
    simulation = Simulation(seed=1)
    cluster = SimulatedCluster(simulation, 10)

    async def story() -> float:
        cluster.start()
        await cluster.until_agreed()
        await asyncio.sleep(5)
        before = simulation.turns
        await asyncio.sleep(60)
        return (simulation.turns - before) / 60 / len(cluster.nodes)

    assert simulation.run(story) < 4


@pytest.mark.parametrize("cut", ["everybody from everybody", "one from the others"])
def test_ten_absent_nodes_are_back_within_five_seconds(cut: str) -> None:
    """Few dials are shared by all that are sought, and still one of them soon gets through; gossip does the rest."""
    simulation = Simulation(seed=1)
    cluster = SimulatedCluster(simulation, 11)
    hosts = [node.host for node in cluster.nodes]

    async def story() -> float:
        cluster.start()
        await cluster.until_agreed()
        for number, host in enumerate(hosts if cut == "everybody from everybody" else hosts[:1]):
            simulation.network.partition(host, hosts[number + 1 :])
        await asyncio.sleep(120)
        assert cluster.nodes[0].members() == [("node-1", "up")]
        simulation.network.heal()
        healed_at = simulation.now
        await cluster.until_agreed()
        return simulation.now - healed_at

    assert simulation.run(story) < 5
