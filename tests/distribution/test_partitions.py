"""Children while the cluster falls apart, and what is left of them when it is whole again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from foundation.errors import RemoteError
from foundation.testing import SimulatedCluster, SimulatedNode, simulate
from tests.distribution import children as c


async def _apart(cluster: SimulatedCluster, node: SimulatedNode) -> list[SimulatedNode]:
    """Cut a node off until each side has given up the other one."""
    rest = c.others(cluster, node)
    await cluster.partition(node, rest)
    for other in rest:
        await node.until_sees(other, "down", 60)
        await other.until_sees(node, "down", 60)
    return rest


async def _whole(cluster: SimulatedCluster) -> None:
    await cluster.heal()
    await cluster.until_agreed(60)
    await asyncio.sleep(5)


def test_both_sides_run_it_and_the_older_claim_stays() -> None:
    """After the heal the process with the older claim has merged what the other one knows, which has ended."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it", 1)
        first = await c.owner(cluster, "it")
        before = first.cluster.whereis("it")
        rest = await _apart(cluster, first)
        await c.until(lambda: len(c.processes(cluster, "it")) == 2)
        assert await rest[0].run(c.add, "it", 20) == 21
        assert await first.run(c.add, "it", 300) == 301
        await _whole(cluster)
        assert await c.owner(cluster, "it") is first
        assert first.cluster.whereis("it") == before
        assert await rest[0].run(c.value, "it") == 322

    simulate(scenario, 3, seed=1)


@pytest.mark.parametrize("of_the_owner", [True, False], ids=["the side of the owner", "the other side"])
def test_terminated_on_one_side_is_terminated(of_the_owner: bool) -> None:
    """It ends on the other side too as soon as that hears of it, and is forgotten when all have."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        first = await c.owner(cluster, "it")
        rest = await _apart(cluster, first)
        await c.until(lambda: len(c.processes(cluster, "it")) == 2)
        await (first if of_the_owner else rest[0]).run(c.stop, "it")
        await c.until(lambda: len(c.processes(cluster, "it")) == 1, 1)
        await _whole(cluster)
        assert c.processes(cluster, "it") == []
        await c.until(lambda: not any(c.rows(node, "it") for node in cluster.nodes))
        assert {node.cluster.whereis("it") for node in cluster.nodes} == {None}

    simulate(scenario, 3, seed=1)


def test_what_was_started_apart_is_merged() -> None:
    """Two that were started under one name, of which neither side knew the other's, become one that knows all."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first = cluster.nodes[0]
        rest = await _apart(cluster, first)
        await first.run(c.start, "it", 1)
        await asyncio.sleep(1)
        await rest[0].run(c.start, "it", 1)
        assert await rest[0].run(c.add, "it", 20) == 21
        await _whole(cluster)
        assert await c.owner(cluster, "it") is first
        assert await rest[0].run(c.value, "it") == 22

    simulate(scenario, 3, seed=1)


@pytest.mark.parametrize("times", [1, 5])
def test_what_ended_on_one_side_ends_nothing_that_began_later_on_the_other(times: int) -> None:
    """However often a child was started and terminated there: of this one nobody has said that it is to end."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first = cluster.nodes[0]
        rest = await _apart(cluster, first)
        for _ in range(times):
            await first.run(c.start, "it")
            await first.run(c.stop, "it")
        await asyncio.sleep(1)
        await rest[0].run(c.start, "it", 7)
        await _whole(cluster)
        assert await first.run(c.value, "it") == 7
        await first.run(c.stop, "it")
        await asyncio.sleep(5)
        assert c.processes(cluster, "it") == []
        await c.until(lambda: not any(c.rows(node, "it") for node in cluster.nodes))

    simulate(scenario, 3, seed=1)


def test_who_is_terminated_while_its_node_is_down_stays_so() -> None:
    """The orphan ends before or after it is adopted; a node that comes back does not bring it back."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        first = await c.owner(cluster, "it")
        first.kill()
        await c.live(cluster)[0].run(c.stop, "it")
        await first.start()
        await cluster.until_agreed(60)
        await asyncio.sleep(5)
        assert c.processes(cluster, "it") == []
        assert {node.cluster.whereis("it") for node in cluster.nodes} == {None}

    simulate(scenario, 3, seed=1)


@pytest.mark.parametrize("end", [SimulatedNode.leave, SimulatedNode.kill, SimulatedNode.crash])
def test_what_was_terminated_stays_when_who_said_so_goes(end: Callable[[SimulatedNode], object]) -> None:
    """A node that has adopted and terminated a child may go: what its first owner said revives none."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        (await c.owner(cluster, "it")).kill()
        await c.until(lambda: len(c.processes(cluster, "it")) == 1)
        second = await c.owner(cluster, "it")
        await c.others(cluster, second)[0].run(c.stop, "it")
        ended = end(second)
        if asyncio.iscoroutine(ended):
            await ended
        await asyncio.sleep(30)
        assert c.processes(cluster, "it") == []

    simulate(scenario, 4, seed=1)


def test_a_move_that_is_cut_off_leaves_one() -> None:
    """Whether or not the other node has it when they lose each other: after the heal there is one, with the state."""

    async def scenario(cluster: SimulatedCluster, delay_s: float) -> None:
        await cluster.nodes[0].run(c.start, "it", 7)
        first = await c.owner(cluster, "it")
        target, *_ = c.others(cluster, first)
        await cluster.delay(first, target, delay_s)
        moving = asyncio.ensure_future(first.run(c.migrate, "it", target.name))
        await asyncio.sleep(1.5 * delay_s)
        await cluster.partition(first, c.others(cluster, first))
        await asyncio.gather(moving, return_exceptions=True)
        await asyncio.sleep(20)
        await cluster.delay(first, target, 0)
        await _whole(cluster)
        owner = await c.owner(cluster, "it")
        assert await owner.run(c.value, "it") in {7, 14}  # two went on from there, and one has merged the other

    for delay_s in (0.01, 0.1):
        simulate(lambda cluster, delay_s=delay_s: scenario(cluster, delay_s), 3, seed=1)


def test_a_child_that_crashes_while_it_is_moved_runs_on() -> None:
    """Its hand-over comes to nothing, since the other node cannot be reached: it is started again where it was."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it", 7)
        first = await c.owner(cluster, "it")
        target, *_ = c.others(cluster, first)
        await cluster.partition(first, target)
        moving = asyncio.ensure_future(first.run(c.migrate, "it", target.name))
        await asyncio.sleep(0.5)
        await first.run(c.end_at_once, "it")
        await asyncio.gather(moving, return_exceptions=True)
        await _whole(cluster)
        assert await cluster.nodes[0].run(c.value, "it") == 7
        await c.owner(cluster, "it")

    simulate(scenario, 3, seed=1)


def test_a_child_that_is_terminated_while_it_is_moved_is_no_more() -> None:
    """Neither node has it in the end, however far the move has come."""

    async def scenario(cluster: SimulatedCluster, after_s: float) -> None:
        await cluster.nodes[0].run(c.start, "it", 7)
        first = await c.owner(cluster, "it")
        target, other = c.others(cluster, first)
        await cluster.delay(first, target, 0.1)
        moving = asyncio.ensure_future(first.run(c.migrate, "it", target.name))
        await asyncio.sleep(after_s)
        await other.run(c.stop, "it")
        await asyncio.gather(moving, return_exceptions=True)
        await asyncio.sleep(2)
        assert c.processes(cluster, "it") == []
        assert {node.cluster.whereis("it") for node in cluster.nodes} == {None}

    for after_s in (0.0, 0.05, 0.11, 0.15, 0.21, 0.25):
        simulate(lambda cluster, after_s=after_s: scenario(cluster, after_s), 3, seed=1)


def test_a_move_goes_on_when_who_asked_for_it_does_not_wait() -> None:
    """Half a move is none: the child ends up at one place, and answers."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it", 7)
        first = await c.owner(cluster, "it")
        target, other = c.others(cluster, first)
        await cluster.delay(first, target, 0.5)
        with pytest.raises(RemoteError):
            await other.run(c.migrate_within, "it", target.name, 0.7)
        await asyncio.sleep(5)
        assert await c.owner(cluster, "it") is target
        assert await other.run(c.value, "it") == 7

    simulate(scenario, 3, seed=1)
