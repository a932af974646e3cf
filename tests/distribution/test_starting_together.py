"""Many nodes that start at the same instant and all run the same script: one cluster, and each child once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from foundation import Cluster, Process, spec
from foundation.errors import SpecConflict
from foundation.testing import SimulatedNode, simulate
from foundation.testing.simulation import Simulation
from foundation.testing.simulation.cluster import SimulatedCluster

NODES = 20
CHILDREN = 10
STARTS = int(os.environ.get("STARTS", "50"))
PAUSES = 20
PAUSE_S = 3.0


class Worker(Process):
    """Works for all."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def who(self) -> int:
        """Say which one it is."""
        return self.number


async def script(cluster: Cluster) -> None:
    """Do what every node does when it starts."""
    workers = await cluster.children.start_all({f"worker/{number}": spec(Worker, number) for number in range(CHILDREN)})
    for number in range(CHILDREN):
        assert await workers[f"worker/{number}"].who() == number


async def running(cluster: Cluster) -> list[str]:
    """Return the names of the workers that run here."""
    return [info.name for info in await cluster.processes() if info.name]


async def other_script(cluster: Cluster) -> str:
    """Start one of the children with another argument."""
    try:
        await cluster.start_process(Worker, CHILDREN, name="worker/0", distribute=True)
    except SpecConflict as error:
        return str(error)
    return ""


async def begin(node: SimulatedNode) -> None:
    await node.start()
    await node.run(script)


def start_together(seed: int) -> None:
    """Start all nodes at once, in a run of its own."""
    simulation = Simulation(seed)
    cluster = SimulatedCluster(simulation, NODES)

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            for node in cluster.nodes:
                group.create_task(begin(node))
        await cluster.until_agreed()
        found = [name for node in cluster.nodes for name in await node.run(running)]
        assert Counter(found) == {f"worker/{number}": 1 for number in range(CHILDREN)}
        assert "differ" in await cluster.nodes[seed % NODES].run(other_script)

    simulation.run(story)


@pytest.mark.timeout(240)
def test_twenty_nodes_that_start_at_the_same_instant_place_all_children() -> None:
    """Whatever the order of events: one cluster, every child once, no error; and another spec is a SpecConflict."""
    for seed in range(STARTS):
        start_together(seed)


def test_a_sick_node_takes_no_healthy_one_down() -> None:
    """A node that stands still for 3 s again and again downs nobody, and its children are there afterwards."""

    async def scenario(cluster: SimulatedCluster) -> None:
        sick, *healthy = cluster.nodes
        await healthy[0].run(script)
        for _ in range(PAUSES):
            sick.pause()
            await asyncio.sleep(PAUSE_S)
            sick.resume()
            await asyncio.sleep(PAUSE_S / 2)
        await cluster.until_agreed(30.0)
        for node in healthy:
            for other in healthy:
                said = [sighting.status for sighting in node.sightings if sighting.name == other.name]
                assert "down" not in said, f"{node.name} called {other.name} down"
        await asyncio.sleep(PAUSE_S)
        found = [name for node in cluster.nodes for name in await node.run(running)]
        assert Counter(found) == {f"worker/{number}": 1 for number in range(CHILDREN)}

    simulate(scenario, 5, seed=1)
