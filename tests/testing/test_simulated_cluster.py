"""Whole nodes at simulated hosts: they meet, call, part and come back as real ones do, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref

import pytest

import foundation
from foundation.cluster import Cluster
from foundation.errors import CallTimeout, NodeDown, NotRunningError, RemoteError
from foundation.testing import SimulatedCluster, WaitFailed, simulate

LEASE_S = 3.0


class Counter(foundation.Process, wire_name="simulated.Counter"):
    def __init__(self) -> None:
        self.value = 0

    async def add(self, n: int) -> int:
        self.value += n
        return self.value


async def count(cluster: Cluster, name: str) -> list[int]:
    """Start a counter on another node and call it."""
    node = next(member for member in cluster.members() if member.name == name)
    counter = await cluster.start_process(Counter, node=node)
    return [await counter.add(n) for n in (1, 2, 3)]


async def fail(_cluster: Cluster) -> None:
    message = "no luck"
    raise LookupError(message)


async def never(_cluster: Cluster) -> None:
    await asyncio.Event().wait()


async def status(cluster: SimulatedCluster, seen_by: int, of: int) -> str | None:
    """Return what one node thinks of another."""
    return dict(await cluster.nodes[seen_by].members()).get(cluster.nodes[of].name)


@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_nodes_meet_and_call_each_other(nodes: int) -> None:
    """All of them see all of them, and calls go over simulated direct links."""

    async def scenario(cluster: SimulatedCluster) -> tuple[list[int], float]:
        return await cluster.nodes[0].run(count, cluster.nodes[-1].name), cluster.simulation.now

    counted, took_s = simulate(scenario, nodes)
    assert counted == [1, 3, 6]
    assert took_s < 5


def test_a_killed_node_is_down_at_once() -> None:
    """Its host refuses connections, so nobody waits for the time that a lost machine gets."""

    async def scenario(cluster: SimulatedCluster) -> None:
        cluster.nodes[2].kill()
        await cluster.until_agreed(1.0)
        assert [seen.status for seen in cluster.nodes[0].sightings][-1] == "down"

    simulate(scenario)


def test_a_crashed_machine_is_down_after_a_while() -> None:
    """Nothing answers where it was, so it may come back, for as long as a member gets."""

    async def scenario(cluster: SimulatedCluster) -> None:
        cluster.nodes[2].crash()
        with pytest.raises(WaitFailed, match=r"node-0 sees .*node-2 .*unreachable"):
            await cluster.until_agreed(LEASE_S + 5)
        await cluster.until_agreed(20)

    simulate(scenario)


@pytest.mark.parametrize("cut", ["both ways", "one way"])
def test_a_cut_between_halves_heals(cut: str) -> None:
    """Unreachable within the lease and a second, down after ten more, and members again, once it is healed."""

    async def scenario(cluster: SimulatedCluster) -> None:
        one, other = cluster.nodes[:3], cluster.nodes[3:]
        await (cluster.partition if cut == "both ways" else cluster.partition_oneway)(one, other)
        await cluster.nodes[0].until_sees(cluster.nodes[4], "unreachable", LEASE_S + 1)
        await cluster.nodes[4].until_sees(cluster.nodes[0], "unreachable", 0.1)
        await cluster.nodes[0].until_sees(cluster.nodes[4], "down", 30)
        await asyncio.sleep(10)
        assert [len(node.view()) for node in cluster.nodes] == [3, 3, 3, 2, 2]
        await cluster.heal()
        await cluster.until_agreed()

    simulate(scenario, nodes=5)


def test_a_cut_between_two_of_three_downs_nobody() -> None:
    """Who is still seen by a third is unreachable for as long as it takes, and never down."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.partition(cluster.nodes[0], cluster.nodes[1])
        await asyncio.sleep(120)
        assert await status(cluster, 0, 1) == await status(cluster, 1, 0) == "unreachable"
        assert await status(cluster, 2, 0) == await status(cluster, 2, 1) == "up"
        await cluster.heal()
        await cluster.until_agreed()

    simulate(scenario)


def test_a_pause_shorter_than_the_lease_is_not_noticed_and_a_longer_one_is() -> None:
    """A node that stood still is unreachable to the others, and they to it, until it goes on."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, _, third = cluster.nodes
        third.pause()
        await asyncio.sleep(LEASE_S - 1)
        assert await status(cluster, 0, 2) == "up"
        third.resume()
        await asyncio.sleep(LEASE_S)
        assert cluster.disagreement() is None
        third.pause()
        await first.until_sees(third, "unreachable", LEASE_S + 1)
        third.resume()
        await cluster.until_agreed()

    simulate(scenario)


def test_a_node_leaves_and_comes_back() -> None:
    """Who leaves is gone at once; a new program at the same host is a new member."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, _ = cluster.nodes
        await second.leave()
        await cluster.until_agreed(0.5)
        assert len(await first.members()) == 2
        await second.start()
        await cluster.until_agreed()
        assert len(await first.members()) == 3

    simulate(scenario)


def test_packets_are_delayed_and_dropped() -> None:
    """Both cost time, of those between the two sides alone, until it is taken back."""

    async def ask(cluster: Cluster) -> float:
        began = asyncio.get_running_loop().time()
        await cluster.ref(Counter, "counter").add(1)
        return asyncio.get_running_loop().time() - began

    async def start(cluster: Cluster) -> None:
        await cluster.start_process(Counter, name="counter")

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = cluster.nodes
        await first.run(start)
        for change, much in ((cluster.delay, 0.2), (cluster.drop, 0.3)):
            await change(first, second, much)
            took_s = [max([await node.run(ask) for _ in range(5)]) for node in (second, third)]
            assert took_s[1] < 0.1 < took_s[0]
            await change(first, second, 0.0)

    simulate(scenario)


@pytest.mark.parametrize("returns_after_s", [1.0, 5.0, 20.0])
def test_a_crashed_machine_comes_back(returns_after_s: float) -> None:
    """Before anybody has noticed, once it is unreachable, and once it is down: the others are rid of the old one."""

    async def scenario(cluster: SimulatedCluster) -> None:
        node = cluster.nodes[1]
        node.crash()
        await asyncio.sleep(returns_after_s)
        await node.start()
        await cluster.until_agreed(LEASE_S + 5)

    simulate(scenario, nodes=5)


def test_nothing_is_left_of_a_simulated_cluster() -> None:
    """Nodes that were switched off, not stopped, are gone: from memory, and for what acts on the current cluster."""

    async def scenario(cluster: SimulatedCluster) -> list[weakref.ref[Cluster]]:
        return [weakref.ref(node.cluster) for node in cluster.nodes]

    clusters = simulate(scenario)
    gc.collect()
    assert [known() for known in clusters] == [None, None, None]
    with pytest.raises(NotRunningError, match="no cluster runs"):
        foundation.current_cluster()


def test_what_is_run_at_a_node_can_fail() -> None:
    """What it raises, the end of its node and the end of its time are told apart."""

    async def scenario(cluster: SimulatedCluster) -> None:
        node = cluster.nodes[0]
        with pytest.raises(RemoteError, match="LookupError: no luck") as failure:
            await node.run(fail)
        assert isinstance(failure.value.__cause__, LookupError)
        with pytest.raises(CallTimeout, match="never"):
            await node.run(never)
        running = asyncio.ensure_future(node.run(never))
        await asyncio.sleep(1)
        node.kill()
        with pytest.raises(NodeDown):
            await running

    simulate(scenario, nodes=1, run_timeout_s=5)


def test_a_failed_scenario_says_how_to_repeat_it() -> None:
    """The error has the seed and what has happened last."""

    async def scenario(cluster: SimulatedCluster) -> None:
        cluster.nodes[0].kill()
        assert not cluster.nodes

    with pytest.raises(AssertionError) as failure:
        simulate(scenario, seed=4711)
    (note,) = failure.value.__notes__
    assert "seed 4711" in note
    assert "node-0  killed" in note


PROGRAM = """
from tests.testing.test_simulated_cluster import *

async def scenario(cluster):
    await cluster.partition(cluster.nodes[:3], cluster.nodes[3:])
    await asyncio.sleep(20)
    await cluster.heal()
    await cluster.until_agreed()
    await cluster.nodes[0].run(count, cluster.nodes[-1].name)
    return cluster.simulation

simulation = simulate(scenario, 8, seed=int(sys.argv[1]))
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
