"""Several children of one name, in simulated time: so many, one on each node, and shards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain

import pytest

import foundation
from foundation import Placement, Process
from foundation.cluster import Cluster
from foundation.errors import ArgumentError, NoSuchNameError, ProcessCrash, RemoteError, SpecConflict
from foundation.processes import spec
from foundation.testing import SimulatedCluster, simulate


class Agent(Process, wire_name="instances.Agent"):
    def __init__(self, word: str = "") -> None:
        self._word = word

    async def started(self) -> None:
        if self._word == "bad":
            raise ValueError(self._word)

    async def word(self) -> str:
        return self._word

    async def where(self) -> str:
        return self.process_id.node

    async def crash(self) -> None:
        raise ProcessCrash


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    for _ in range(int(timeout_s / 0.1)):
        if condition():
            return
        await asyncio.sleep(0.1)
    message = f"not in {timeout_s} s: {what}"
    raise AssertionError(message)


def residents(cluster: SimulatedCluster) -> dict[str, list[str]]:
    """Return the agents of each node that runs."""
    return {
        node.name: sorted(info.name or "" for info in node.cluster._running.host.processes() if _is_agent(info))
        for node in cluster.nodes
        if node.runs
    }


def _is_agent(info: foundation.ProcessInfo) -> bool:
    return info.wire_name == "instances.Agent"


async def start_everywhere(cluster: Cluster, word: str = "", **options: object) -> list[str]:
    agents = await cluster.children.start(Agent, word, name="agent", instances="every_node", **options)  # type: ignore[call-overload]
    return sorted([await agent.where() for agent in agents])


def test_one_runs_on_every_node_and_on_those_that_come() -> None:
    """All nodes have one of their own; who joins gets one, and who goes takes its own along."""

    async def scenario(cluster: SimulatedCluster) -> None:
        *first, last = cluster.nodes
        await last.leave()
        await cluster.until_agreed(30)
        nodes = await first[0].run(start_everywhere)
        assert nodes == sorted(node.node_id for node in first)
        assert await first[1].run(start_everywhere) == nodes, "started again, it is the same"
        await last.start()
        await until(lambda: residents(cluster)[last.name] == [f"agent@{last.name}"], "the newcomer has one")
        first[0].kill()
        await asyncio.sleep(30)
        assert residents(cluster) == {node.name: [f"agent@{node.name}"] for node in (*first[1:], last)}

    simulate(scenario, 4, run_timeout_s=100)


def test_it_is_started_again_where_it_is() -> None:
    """One that crashes comes back on its node; one that is stopped does not."""

    async def story(cluster: Cluster) -> None:
        agents = await cluster.children.start(Agent, name="agent", instances="every_node")
        mine = cluster.ref(Agent, f"agent@{cluster.name}")
        assert len(agents) == 2
        was = cluster.whereis(f"agent@{cluster.name}")
        with pytest.raises(RemoteError):
            await mine.crash()
        await until(lambda: cluster.whereis(f"agent@{cluster.name}") not in {None, was}, "it is back")
        assert await mine.where() == cluster.node.node_id
        (report,) = [one for one in await cluster.children.on(cluster.node.node_id) if one.name.endswith(cluster.name)]
        assert (report.restarts, report.process_id) == (1, cluster.whereis(report.name))
        await cluster.stop_process(await _process(cluster, mine))
        await asyncio.sleep(30)
        assert cluster.whereis(f"agent@{cluster.name}") is None

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(story)

    simulate(scenario, 2, run_timeout_s=100)


async def _process(cluster: Cluster, agent: Agent) -> object:
    del agent
    return cluster.whereis(f"agent@{cluster.name}")


def test_all_of_them_are_ended_with_their_name() -> None:
    """Stopped by name they end on all nodes, and other ones can be started; on both sides of a partition they stay."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = cluster.nodes
        everywhere = {node.name: [f"agent@{node.name}"] for node in cluster.nodes}
        await first.run(start_everywhere)
        await cluster.partition([first, second], third)
        await asyncio.sleep(40)
        assert residents(cluster) == everywhere
        await cluster.heal()
        await cluster.until_agreed(60)
        await asyncio.sleep(20)
        assert residents(cluster) == everywhere
        await second.run(lambda here: here.children.stop("agent"))
        await until(lambda: residents(cluster) == {node.name: [] for node in cluster.nodes}, "all have ended")
        await third.run(start_everywhere, "other")
        assert residents(cluster) == everywhere

    simulate(scenario, 3, run_timeout_s=100)


def test_only_nodes_that_fit_have_one() -> None:
    """Roles are needed on each node; a start that fails says so, and is tried again."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first = cluster.nodes[0]
        assert await first.run(start_everywhere, placement=Placement(roles=("gpu",))) == []
        await first.run(lambda here: here.children.stop("agent"))
        with pytest.raises(RemoteError, match="2 of 2 did not start") as raised:
            await first.run(start_everywhere, "bad")
        assert "ChildStartError: child 'agent@node-1' did not start: ValueError bad" in raised.value.remote_traceback
        reports = await first.run(lambda here: here.children.on(here.node.node_id))
        assert [report.why for report in reports if report.name.startswith("agent@")] == ["ValueError: bad"]

    simulate(scenario, 2, run_timeout_s=100)


def test_so_many_of_a_name() -> None:
    """A number of instances are children like any other, called by their numbers, and keep running."""

    async def start(cluster: Cluster, count: int) -> list[str]:
        agents = await cluster.children.start(Agent, "x", name="agent", instances=count)
        return [await agent.word() for agent in agents]

    async def scenario(cluster: SimulatedCluster) -> None:
        first = cluster.nodes[0]
        assert await first.run(start, 5) == ["x"] * 5
        cluster.nodes[2].kill()
        names = [f"agent/{number}" for number in range(5)]
        await until(lambda: sorted(chain(*residents(cluster).values())) == names, "all run on those that are left")
        for count, error in ((6, SpecConflict), (0, ArgumentError)):
            with pytest.raises(RemoteError) as raised:
                await first.run(start, count)
            assert isinstance(raised.value.__cause__, error)
        await first.run(lambda here: here.children.stop("agent"))
        await until(lambda: not any(residents(cluster).values()), "the name stands for all of them")

    simulate(scenario, 3, run_timeout_s=100)


def test_a_key_belongs_to_one_shard() -> None:
    """All nodes find the same shard for a key, and keys are spread over all of them."""

    async def start(cluster: Cluster) -> int:
        shards = await cluster.children.start_shards(Agent, name="orders", shards=4)
        assert cluster.shard(Agent, "orders", 7) == cluster.shard(Agent, "orders", "7")
        assert len({cluster.shard(Agent, "orders", key) for key in range(100)}) == len(shards)
        with pytest.raises(NoSuchNameError, match="'other'"):
            cluster.shard(Agent, "other", 1)
        with pytest.raises(SpecConflict):
            await cluster.children.start_shards(Agent, name="orders", shards=5)
        return len(shards)

    async def find(cluster: Cluster) -> list[str]:
        return [repr(cluster.shard(Agent, "orders", f"key {number}")) for number in range(50)]

    async def ask(cluster: Cluster) -> str:
        return await cluster.shard(Agent, "orders", b"key").word()

    async def scenario(cluster: SimulatedCluster) -> None:
        assert await cluster.nodes[0].run(start) == 4
        await cluster.nodes[1].run(Cluster.wait_for_sync)
        assert await cluster.nodes[0].run(find) == await cluster.nodes[1].run(find)
        assert await cluster.nodes[1].run(ask) == ""

    simulate(scenario, 2, run_timeout_s=100)


def test_many_are_started_at_once() -> None:
    """`start_processes` starts children by their names, and the words of a child belong to distributed ones."""

    async def story(cluster: Cluster) -> None:
        started = await cluster.start_processes({f"agent {n}": spec(Agent, str(n)) for n in range(20)})
        assert [await agent.word() for agent in started.values()] == [str(n) for n in range(20)]
        local = Placement("local")
        one = await cluster.start_process(Agent, name="one", distribute=True, restart="transient", placement=local)
        assert await one.where() == cluster.node.node_id
        again = await cluster.children.start(Agent, name="one", restart="transient", placement=local)
        assert again == one
        with pytest.raises(ArgumentError, match="distribute=True"):
            await cluster.start_process(Agent, restart="transient")

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(story)

    simulate(scenario, 2, run_timeout_s=100)


def test_one_on_every_node_comes_to_a_node_that_is_drained_no_more() -> None:
    """What was started everywhere while it was drained runs there too as soon as it takes children again."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second = cluster.nodes
        await first.run(lambda here: here.drain(second.name))
        assert await first.run(start_everywhere) == [first.node_id]
        assert residents(cluster)[second.name] == []
        await first.run(lambda here: here.undrain(second.name))
        await until(lambda: residents(cluster)[second.name] == [f"agent@{second.name}"], "it has one")

    simulate(scenario, 2, run_timeout_s=100)


def test_a_drained_node_gets_no_more_children() -> None:
    """Children that are started after a node was drained run elsewhere, at once."""

    async def story(cluster: Cluster, drained: str) -> list[str]:
        before = await cluster.start_processes({f"before {n}": spec(Agent, "") for n in range(10)})
        assert await cluster.drain(drained) == 0
        after = await cluster.start_processes({f"after {n}": spec(Agent, "") for n in range(30)})
        return [await agent.where() for agent in (*before.values(), *after.values())]

    async def scenario(cluster: SimulatedCluster) -> None:
        first, *_, last = cluster.nodes
        assert last.node_id not in await first.run(story, last.name)

    simulate(scenario, 3, run_timeout_s=100)
