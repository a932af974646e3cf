"""A node goes by what was said at run time: it looks, judges, waits and moves as the new values say."""

from __future__ import annotations

import asyncio
from typing import Any

from foundation import Cluster, Process, spec
from foundation.errors import CallTimeout
from foundation.testing import SimulatedCluster, simulate
from tests.reconfiguration.steps import DOWN, change, settings

COUNT = 40


class Sleeper(Process, wire_name="reconfiguration.Sleeper"):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def waits_for(cluster: Cluster) -> tuple[float, float]:
    """Return how long a call waits by a reference that was made before a change, and by one made after it."""
    loop = asyncio.get_running_loop()
    before = await cluster.start_process(Sleeper, name="sleeper")
    await cluster.reconfigure({"processes.call_timeout_s": 1.5})
    waited: list[float] = []
    for reference in (before, cluster.ref(Sleeper, "sleeper")):
        began = loop.time()
        try:
            await reference.sleep(100)
        except CallTimeout:
            waited.append(loop.time() - began)
    return waited[0], waited[1]


async def begin(cluster: Cluster) -> None:
    await cluster.children.start_all({f"sleeper/{number}": spec(Sleeper) for number in range(COUNT)})


async def count(cluster: Cluster) -> int:
    return len(await cluster.processes())


def test_calls_wait_as_long_as_they_are_told() -> None:
    """Also through references that were there before."""

    async def scenario(cluster: SimulatedCluster) -> None:
        for waited in await cluster.nodes[0].run(waits_for):
            assert 1.4 < waited < 2.5

    simulate(scenario, 2, seed=1)


def test_discovery_polls_as_often_as_it_is_told() -> None:
    """One that would rest for an hour looks again within the new interval."""

    async def scenario(cluster: SimulatedCluster) -> None:
        def lookups() -> list[int]:
            statuses = [node.cluster._running.discovery.status() for node in cluster.nodes]
            return [status.lookups for each in statuses for status in each.values()]

        await asyncio.sleep(20)
        before = lookups()
        await cluster.nodes[0].run(change, {"discovery.poll_interval_s": 2})
        await asyncio.sleep(20.5)
        made = [after - there for after, there in zip(lookups(), before, strict=True)]
        assert all(8 <= one <= 12 for one in made), made

    strategies = {"static": {"poll_interval_s": None}}  # else it has an interval of its own
    simulate(scenario, 2, seed=1, discovery={"poll_interval_s": 3600.0}, strategies=strategies)


def test_a_member_is_given_up_when_it_is_told() -> None:
    """A silent node is a member as long as the new value says, not the old one."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, _, third = cluster.nodes
        await first.run(change, {DOWN: 40})
        third.host.crash()
        await asyncio.sleep(35)
        assert dict(await first.members())[third.name] == "unreachable"
        await asyncio.sleep(20)
        assert third.name not in dict(await first.members())

    simulate(scenario, 3, seed=1)


def test_rebalancing_is_turned_on_and_off() -> None:
    """Children move to nodes that join while it is on, and to no others."""

    async def scenario(cluster: SimulatedCluster) -> list[int]:
        first, _, third = cluster.nodes
        moved: list[int] = []
        await third.leave()
        await first.run(begin)
        rebalance: Any
        for rebalance in (None, True, False):
            await first.run(change, {"distribution.rebalance": rebalance, "distribution.rebalance_after_s": 2})
            await third.start()
            await cluster.until_agreed()
            await asyncio.sleep(10)
            moved.append(await third.run(count))
            await third.leave()
        return moved

    off, on, again_off = simulate(scenario, 3, seed=1)
    assert off == again_off == 0
    assert on > COUNT // 6


def test_a_restart_takes_what_is_for_the_start() -> None:
    """A node says that it needs a restart; restarted in turn, each goes by the value, and then back by its own."""
    key = "fabric.window_bytes"

    async def scenario(cluster: SimulatedCluster) -> None:
        def used() -> list[int]:
            return [node.cluster._running.fabric._options.window_bytes for node in cluster.nodes]

        async def restart_all() -> None:
            for node in cluster.nodes:
                await node.leave()
                await node.start()
                await cluster.until_agreed()

        before = used()
        report = await cluster.nodes[0].run(change, {key: 2 << 20})
        assert report.needs_restart == [key]
        assert "when two nodes meet" in str(report)
        assert used() == before
        await restart_all()
        assert used() == [2 << 20] * 3
        assert all(set(one.nodes.values()) == {"live"} for one in await cluster.nodes[0].run(settings))
        assert (await cluster.nodes[0].run(change, {key: None})).needs_restart == [key]
        await restart_all()
        assert used() == before

    simulate(scenario, 3, seed=1)
