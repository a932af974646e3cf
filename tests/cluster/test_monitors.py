"""Monitors and links through the public face: on real and simulated nodes, through leaves, crashes and partitions."""

from __future__ import annotations

import asyncio
from typing import Any

import foundation
from foundation import Cluster, Ended, EndReason, Monitor
from foundation.core.identity import NodeId, ProcessId
from foundation.testing import SimulatedCluster, simulate
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually, turns_until


class Worker(foundation.Process, wire_name="monitored.Worker"):
    async def ping(self) -> str:
        return "pong"


async def test_processes_and_members_are_watched(start_nodes: StartNodes) -> None:
    """The end of a process and of the node it is on are told with their reasons; a node is told as a member."""
    here, there = await start_nodes("here", "there")
    stopped, left = [await here.start_process(Worker, node="there") for _ in range(2)]
    member = next(member for member in here.members() if member.name == "there")
    watched = here.monitor(stopped), here.monitor(left), here.monitor(member)
    await here.stop_process(stopped, "enough")
    assert await watched[0] == Ended(member.node_id, stopped.process_id, EndReason.STOPPED, "enough")
    await there.stop()
    assert (await watched[1]).reason is EndReason.NODE_LEFT
    assert await watched[2] == Ended(member.node_id, None, EndReason.NODE_LEFT)
    assert (await here.monitor(left)).reason is EndReason.NODE_DOWN
    assert (await here.monitor(member)).reason is EndReason.NODE_DOWN


async def test_a_link_reaches_across_nodes(start_nodes: StartNodes) -> None:
    """A process that is linked with one on a node that leaves is stopped, for a reason that names it."""
    here, there = await start_nodes("here", "there")
    far = await here.start_process(Worker, node="there")
    near = await here.start_process(Worker, link=far)
    bystander = await here.start_process(Worker)
    ended = here.monitor(near)
    await there.stop()
    assert (await ended).reason is EndReason.LINKED
    assert str(far.process_id) in (await ended).text
    assert await bystander.ping() == "pong"


async def test_ten_thousand_monitors(start_nodes: StartNodes) -> None:
    """10,000 monitors of 100 processes of another node are 100 open calls, which all end with the processes."""
    here, there = await start_nodes("here", "there")
    workers = [await here.start_process(Worker, node="there") for _ in range(100)]
    monitors = [here.monitor(worker) for worker in workers for _ in range(100)]
    host = there._running.host
    await eventually(lambda: len(host._requests) == 100)
    for worker in workers:
        await here.stop_process(worker)
    assert {(await monitor).reason for monitor in monitors} == {EndReason.STOPPED}
    assert len(here._running.host.calls) == 0


# --- simulated


async def start_watching(cluster: Cluster, node: str, log: list[Any]) -> ProcessId:
    """Start a process on another node and watch it and its member."""
    worker = await cluster.start_process(Worker, node=node)
    member = next(member for member in cluster.members() if member.name == node)
    watched = cluster.monitor(worker), cluster.monitor(member)
    log.append([asyncio.ensure_future(collect(monitor, log)) for monitor in watched])
    return worker.process_id


async def collect(monitor: Monitor, log: list[Any]) -> None:
    log.extend([ended async for ended in monitor])


async def stop(cluster: Cluster, process_id: ProcessId) -> None:
    await cluster.stop_process(process_id, "later")


async def watch_again(cluster: Cluster, process_id: ProcessId) -> Ended:
    monitor = cluster.monitor(process_id)
    await cluster.stop_process(process_id, "later")
    return await monitor


def test_an_unreachable_node_is_not_a_dead_one() -> None:
    """Nothing is told while a node is cut off for a while; what ends afterwards is told as ever."""

    async def scenario(cluster: SimulatedCluster) -> list[Any]:
        first, second, third = cluster.nodes
        log: list[Any] = []
        process_id = await first.run(start_watching, third.name, log)
        await cluster.partition([first, second], third)
        await first.until_sees(third, "unreachable")
        assert len(log) == 1
        await cluster.heal()
        await cluster.until_agreed()
        assert len(log) == 1
        await first.run(stop, process_id)
        await eventually(lambda: len(log) == 2)
        return log[1:]

    (ended,) = simulate(scenario)
    assert (ended.reason, ended.text) == (EndReason.STOPPED, "later")


def test_down_is_told_once_and_not_taken_back() -> None:
    """A process and its node are told as down once, though they come back; a new monitor watches them as ever."""

    async def scenario(cluster: SimulatedCluster) -> tuple[list[Any], NodeId, Ended]:
        first, second, third = cluster.nodes
        log: list[Any] = []
        process_id = await first.run(start_watching, third.name, log)
        await cluster.partition([first, second], third)
        await first.until_sees(third, "down", 30)
        told = log[1:]
        await cluster.heal()
        await cluster.until_agreed(30)
        again = await first.run(watch_again, process_id)
        await turns_until(asyncio.get_running_loop().time() + 30)
        assert log[1:] == told
        assert len(first.cluster._running.host.calls) == len(third.cluster._running.host._requests) == 0
        return told, NodeId(third.node_id), again

    told, node, again = simulate(scenario)
    assert [(ended.node, ended.reason) for ended in told] == [(node, EndReason.NODE_DOWN)] * 2
    assert sorted(ended.process_id is None for ended in told) == [False, True]
    assert (again.reason, again.text) == (EndReason.STOPPED, "later")


async def link_with(cluster: Cluster, node: str, log: list[Any]) -> None:
    """Start a process here that is linked with one on another node, and watch it."""
    far = await cluster.start_process(Worker, node=node)
    near = await cluster.start_process(Worker, link=far)
    log.append(asyncio.ensure_future(collect(cluster.monitor(near), log)))


def test_a_killed_node_takes_linked_processes_along() -> None:
    """When a node is killed, what is linked with its processes ends at once, and its monitors are told once."""

    async def scenario(cluster: SimulatedCluster) -> list[Any]:
        first, _, third = cluster.nodes
        watched: list[Any] = []
        linked: list[Any] = []
        await first.run(start_watching, third.name, watched)
        await first.run(link_with, third.name, linked)
        third.kill()
        await eventually(lambda: (len(watched), len(linked)) == (3, 2), within_s=2)
        await third.start()
        await cluster.until_agreed()
        assert (len(watched), len(linked)) == (3, 2)
        assert len(first.cluster._running.host.calls) == len(first.cluster._running.host.ties) == 0
        return [*watched[1:], linked[1]]

    ended = simulate(scenario)
    assert [one.reason for one in ended] == [EndReason.NODE_DOWN, EndReason.NODE_DOWN, EndReason.LINKED]
    assert "ended: node down" in ended[2].text
