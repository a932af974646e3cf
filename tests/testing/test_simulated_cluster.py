"""Whole nodes at simulated hosts: they meet, call, part and come back as real ones do, in virtual time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

import foundation
from foundation.cluster import Cluster
from foundation.testing.simulation import Simulation
from foundation.testing.simulation.cluster import SimulatedCluster

LEASE_S = 3.0


class Counter(foundation.Process, wire_name="simulated.Counter"):
    def __init__(self) -> None:
        self.value = 0

    async def add(self, n: int) -> int:
        self.value += n
        return self.value


def started(nodes: int, seed: int = 1) -> tuple[Simulation, SimulatedCluster]:
    simulation = Simulation(seed)
    return simulation, SimulatedCluster(simulation, nodes)


def statuses(cluster: SimulatedCluster, seen_by: int, of: int) -> str | None:
    """Return what one node thinks of another."""
    return dict(cluster.nodes[seen_by].members()).get(cluster.nodes[of].name)


async def count(cluster: Cluster, name: str) -> list[int]:
    """Start a counter on another node and call it."""
    node = next(member for member in cluster.members() if member.name == name)
    counter = await cluster.start_process(Counter, node=node)
    return [await counter.add(n) for n in (1, 2, 3)]


@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_nodes_meet_and_call_each_other(nodes: int) -> None:
    """All of them see all of them, and calls go over simulated direct links."""
    simulation, cluster = started(nodes)

    async def story() -> list[int]:
        cluster.start()
        await cluster.until_agreed()
        return await cluster.nodes[0].run(count, cluster.nodes[-1].name)

    assert simulation.run(story) == [1, 3, 6]
    assert simulation.now < 5


def test_a_killed_node_is_down_at_once() -> None:
    """Its host refuses connections, so nobody waits for the time that a lost machine gets."""
    simulation, cluster = started(3)

    async def story() -> float:
        cluster.start()
        await cluster.until_agreed()
        before = simulation.now
        cluster.nodes[2].kill()
        await cluster.until_agreed()
        return simulation.now - before

    assert simulation.run(story) < 1


@pytest.mark.parametrize("cut", ["both ways", "one way"])
def test_a_cut_between_halves_heals(cut: str) -> None:
    """Unreachable within the lease and a second, down after ten more, and members again, once it is healed."""
    simulation, cluster = started(5)
    one, other = [node.host for node in cluster.nodes[:3]], [node.host for node in cluster.nodes[3:]]

    async def story() -> None:
        cluster.start()
        await cluster.until_agreed()
        if cut == "both ways":
            simulation.network.partition(one, other)
        else:
            simulation.network.partition_oneway(one, other)
        await asyncio.sleep(LEASE_S + 1)
        assert statuses(cluster, 0, 4) == statuses(cluster, 4, 0) == "unreachable"
        await asyncio.sleep(30)
        assert [len(node.members()) for node in cluster.nodes] == [3, 3, 3, 2, 2]
        simulation.network.heal()
        await cluster.until_agreed()

    simulation.run(story)


def test_a_cut_between_two_of_three_downs_nobody() -> None:
    """Who is still seen by a third is unreachable for as long as it takes, and never down."""
    simulation, cluster = started(3)

    async def story() -> None:
        cluster.start()
        await cluster.until_agreed()
        simulation.network.partition(cluster.nodes[0].host, cluster.nodes[1].host)
        await asyncio.sleep(120)
        assert statuses(cluster, 0, 1) == statuses(cluster, 1, 0) == "unreachable"
        assert statuses(cluster, 2, 0) == statuses(cluster, 2, 1) == "up"
        simulation.network.heal()
        await cluster.until_agreed()

    simulation.run(story)


def test_a_pause_shorter_than_the_lease_is_not_noticed_and_a_longer_one_is() -> None:
    """A node that stood still is unreachable to the others, and they to it, until it goes on."""
    simulation, cluster = started(3)

    async def story() -> None:
        cluster.start()
        await cluster.until_agreed()
        cluster.nodes[2].pause()
        await asyncio.sleep(LEASE_S - 1)
        assert statuses(cluster, 0, 2) == "up"
        cluster.nodes[2].resume()
        await asyncio.sleep(LEASE_S)
        assert cluster.disagreement() is None
        cluster.nodes[2].pause()
        await asyncio.sleep(LEASE_S + 1)
        assert statuses(cluster, 0, 2) == "unreachable"
        cluster.nodes[2].resume()
        await cluster.until_agreed()

    simulation.run(story)


def test_a_node_leaves_and_comes_back() -> None:
    """Who leaves is gone at once; a new program at the same host is a new member."""
    simulation, cluster = started(3)

    async def story() -> None:
        cluster.start()
        await cluster.until_agreed()
        await cluster.nodes[1].leave()
        await cluster.until_agreed()
        assert len(cluster.nodes[0].members()) == 2
        cluster.nodes[1].start()
        await asyncio.sleep(5)
        assert cluster.nodes[1].is_up
        await cluster.until_agreed()

    simulation.run(story)


PROGRAM = """
from tests.testing.test_simulated_cluster import *
simulation, cluster = started(8, seed=int(sys.argv[1]))
async def story():
    cluster.start()
    await cluster.until_agreed()
    simulation.network.partition([node.host for node in cluster.nodes[:3]], [node.host for node in cluster.nodes[3:]])
    await asyncio.sleep(20)
    simulation.network.heal()
    await cluster.until_agreed()
    await cluster.nodes[0].run(count, cluster.nodes[-1].name)
simulation.run(story)
print(simulation.turns, simulation.transcript.digest())
"""


def test_the_same_seed_is_the_same_run() -> None:
    """Two programs with one seed do the same, turn for turn and byte for byte; another seed does something else."""

    def play(seed: int) -> str:
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        command = [sys.executable, "-c", PROGRAM, str(seed)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first, again, other = play(1), play(1), play(2)
    assert first == again
    assert first != other
