"""Children run once, wherever it is, as long as they are wanted."""

from __future__ import annotations

import asyncio

import pytest

import foundation
from foundation import Placement
from foundation.cluster import Cluster
from foundation.core.identity import NodeId
from foundation.distribution import DistributionOptions
from foundation.errors import (
    ChildStartError,
    NameTakenError,
    NoSuchNameError,
    NotRunningError,
    RemoteError,
    SpecConflict,
)
from foundation.testing import SimulatedCluster, simulate
from tests.distribution import children as c
from tests.distribution.children import Counter, Fragile

pytestmark = pytest.mark.filterwarnings("error")


def test_many_start_all_over_the_cluster() -> None:
    """Each of many children runs at one node, and every node has a share."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 60)
        shares = [len(await node.run(c.reports)) for node in cluster.nodes]
        assert sum(shares) == 60
        assert min(shares) > 5
        for node in cluster.nodes:
            assert [await node.run(c.value, f"c{number}") for number in range(60)] == list(range(60))

    simulate(scenario, 3, seed=1)


def test_every_node_may_start_the_same() -> None:
    """Started everywhere at once there is one child; with other arguments it is another child, which is an error."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await asyncio.gather(*[node.run(c.start, "it", 5) for node in cluster.nodes])
        assert len(c.processes(cluster, "it")) == 1
        with pytest.raises(RemoteError) as raised:
            await cluster.nodes[1].run(c.start, "it", 6)
        assert isinstance(raised.value.__cause__, SpecConflict)
        assert await (await c.owner(cluster, "it")).run(c.value, "it") == 5

    simulate(scenario, 3, seed=1)


def test_of_two_specs_at_once_one_begins() -> None:
    """Who meets another child of the name that is about to begin hears of a conflict once that has begun."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second = cluster.nodes[0].run(c.start, "it", 1), cluster.nodes[1].run(c.start, "it", 2)
        came = await asyncio.gather(first, second, return_exceptions=True)
        failed = [one.__cause__ for one in came if isinstance(one, BaseException)]
        assert [type(error) for error in failed] == [SpecConflict]
        assert len(c.processes(cluster, "it")) == 1

    simulate(scenario, 3, seed=1)


def test_children_of_a_killed_node_are_adopted() -> None:
    """The others run them at once, and who calls an idempotent method by name waits for that."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 30)
        victim = cluster.nodes[1]
        asking = cluster.nodes[0].run(c.value, "c3")
        victim.kill()
        assert await asking == 3
        assert [await cluster.nodes[2].run(c.value, f"c{number}") for number in range(30)] == list(range(30))
        assert sum([len(await node.run(c.reports)) for node in c.live(cluster)]) == 30
        for number in range(30):
            await c.owner(cluster, f"c{number}")

    simulate(scenario, 3, seed=1)


def test_a_moved_child_takes_its_state_along() -> None:
    """Calls during the move are all handled once, before it or after it."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        for _ in range(3):
            before = await c.owner(cluster, "it")
            target = c.others(cluster, before)[0]
            calls = [node.run(c.add, "it") for node in cluster.nodes for _ in range(20)]
            await asyncio.gather(*calls[:30], cluster.nodes[0].run(c.migrate, "it", target.name), *calls[30:])
            assert await c.owner(cluster, "it") is target
        assert await cluster.nodes[0].run(c.value, "it") == 180

    simulate(scenario, 3, seed=1)


def test_casts_follow_a_child_that_is_moved() -> None:
    """Casts that wait when it is moved, and those that come where it was, are handled once and in their order."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        first = await c.owner(cluster, "it")
        target, other = c.others(cluster, first)
        napping = asyncio.ensure_future(other.run(c.nap, "it", 0.5))
        await asyncio.sleep(0.1)
        moving = asyncio.ensure_future(other.run(c.migrate, "it", target.name))
        await asyncio.sleep(0.1)
        await other.run(c.note_all, "it", 40, 0.02)
        await asyncio.gather(napping, moving)
        await asyncio.sleep(1)
        assert await c.owner(cluster, "it") is target
        notes = await other.run(c.notes, "it")
        assert sorted(notes) == list(range(40))
        assert notes[:20] == list(range(20))

    simulate(scenario, 3, seed=1)


def test_a_child_that_cannot_begin_there_goes_on_here() -> None:
    """A move to a node that cannot run it fails, and nothing is lost."""

    async def scenario(cluster: SimulatedCluster) -> None:
        c.BROKEN.clear()
        await cluster.nodes[0].run(_start_fragile)
        here = await c.owner(cluster, "frail")
        before, there = here.cluster.whereis("frail"), c.others(cluster, here)[0]
        c.BROKEN.add(there.node_id)
        with pytest.raises(RemoteError) as raised:
            await cluster.nodes[2].run(c.migrate, "frail", there.name)
        assert isinstance(raised.value.__cause__, ChildStartError)
        assert (await c.owner(cluster, "frail")).cluster.whereis("frail") == before

    simulate(scenario, 3, seed=1)


def test_a_child_that_cannot_begin_there_is_not_lost_when_its_node_dies_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who was to take it, and holds its name, has it run in the end when nobody takes it back."""

    async def scenario(cluster: SimulatedCluster) -> None:
        c.BROKEN.clear()
        await cluster.nodes[0].run(_start_fragile)
        here = await c.owner(cluster, "frail")
        there = c.others(cluster, here)[0]
        c.BROKEN.add(there.node_id)
        assert here.cluster._parts is not None
        monkeypatch.setattr(here.cluster._parts.distribution._runner, "take_back", lambda *_: here.kill())
        with pytest.raises(RemoteError):
            await there.run(c.migrate, "frail", there.name)
        c.BROKEN.clear()
        await c.until(lambda: c.processes(cluster, "frail") != [])
        assert await c.owner(cluster, "frail") is there

    simulate(scenario, 3, seed=1)


def test_what_was_taken_back_is_forgotten_where_it_could_not_begin() -> None:
    """A node that was to take a child counts it among its own no longer."""

    async def scenario(cluster: SimulatedCluster) -> None:
        c.BROKEN.clear()
        await cluster.nodes[0].run(_start_fragile)
        here = await c.owner(cluster, "frail")
        there = c.others(cluster, here)[0]
        c.BROKEN.add(there.node_id)
        with pytest.raises(RemoteError):
            await here.run(c.migrate, "frail", there.name)
        assert there.cluster._parts is not None
        runner = there.cluster._parts.distribution._runner
        await c.until(lambda: len(runner) == 0)
        assert await c.owner(cluster, "frail") is here

    simulate(scenario, 3, seed=1)


def test_a_node_that_leaves_hands_over_with_state() -> None:
    """Nothing that was counted is lost when a node leaves in order."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 20)
        for number in range(20):
            await cluster.nodes[1].run(c.add, f"c{number}", 100)
        await cluster.nodes[2].leave()
        assert [await cluster.nodes[1].run(c.value, f"c{n}") for n in range(20)] == [100 + n for n in range(20)]

    simulate(scenario, 3, seed=1)


def test_a_drained_node_takes_no_more() -> None:
    """Its children go to the others, and so does whoever would have been started there."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 20)
        drained = cluster.nodes[1]
        assert await cluster.nodes[0].run(c.drain, NodeId(drained.node_id)) == 0
        await cluster.nodes[0].run(c.start_many, 60)
        assert await drained.run(c.reports) == []
        assert sum([len(await node.run(c.reports)) for node in cluster.nodes]) == 60

    simulate(scenario, 3, seed=1)


def test_an_undrained_node_gets_children_again() -> None:
    """As soon as the call returns every other node may have it run a child; what it handed over stays elsewhere."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 20)
        drained = cluster.nodes[1]
        here = Placement(node=drained.name)
        for _ in range(2):  # once or twice is the same
            await cluster.nodes[0].run(c.drain, NodeId(drained.node_id))
        for _ in range(2):
            await cluster.nodes[0].run(c.undrain, NodeId(drained.node_id))
        for number, node in enumerate(cluster.nodes):
            for other in range(4):  # the homes of the names are all over the cluster
                await node.run(_start_placed, f"pinned {number} {other}", here)
        assert {report.name[:6] for report in await drained.run(c.reports)} == {"pinned"}
        assert len(await drained.run(c.reports)) == 12

    simulate(scenario, 3, seed=1)


def test_undrain_waits_until_the_others_know() -> None:
    """Also when one of them hears late of it, it is known everywhere once the call returns."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, drained, far = cluster.nodes
        await cluster.delay(drained, far, 0.3)
        await first.run(c.drain, NodeId(drained.node_id))
        await drained.run(c.undrain, NodeId(drained.node_id))
        takes_for_drained = [c.parts(node.cluster).distribution.takes_for_drained for node in (first, far)]
        assert [takes(drained.node_id) for takes in takes_for_drained] == [False, False]

    simulate(scenario, 3, seed=1)


def test_undrain_ends_a_drain() -> None:
    """Children whose turn to be handed over has not come stay where they are."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start_many, 60)
        drained = cluster.nodes[1]
        names = [report.name for report in await drained.run(c.reports)]
        draining = asyncio.ensure_future(drained.run(_nap_and_drain, names))
        await asyncio.sleep(0.5)
        await drained.run(c.undrain, NodeId(drained.node_id))
        assert await draining == len(names) - 2 == len(await drained.run(c.reports)) > 0
        for number in range(60):
            await c.owner(cluster, f"c{number}")

    simulate(scenario, 3, seed=1, distribution=DistributionOptions(moves_at_once=2))


def test_a_node_that_leaves_is_not_undrained() -> None:
    """It takes no children any more, and says so."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it")
        leaving = await c.owner(cluster, "it")
        other = c.others(cluster, leaving)[0]
        napping = asyncio.ensure_future(other.run(c.nap, "it", 2))
        await asyncio.sleep(0.1)
        going = asyncio.ensure_future(leaving.leave())
        await asyncio.sleep(0.5)
        with pytest.raises(RemoteError) as raised:
            await other.run(c.undrain, NodeId(leaving.node_id))
        assert isinstance(raised.value.__cause__, NotRunningError)
        await asyncio.gather(napping, going)
        assert await c.owner(cluster, "it") is not leaving

    simulate(scenario, 3, seed=1)


def test_a_node_that_is_started_again_is_not_drained() -> None:
    """What was drained is the node that was stopped."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, drained, _ = cluster.nodes
        await first.run(c.drain, NodeId(drained.node_id))
        await drained.leave()
        await drained.start()
        await cluster.until_agreed()
        await first.run(_start_placed, "pinned", Placement(node=drained.name))
        assert await c.owner(cluster, "pinned") is drained

    simulate(scenario, 3, seed=1)


def test_who_crashes_again_and_again_goes_to_another_node() -> None:
    """A child is started again on its node, after longer and longer pauses, and at last elsewhere."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it", 5)
        first = await c.owner(cluster, "it")
        for _ in range(5):
            if cluster.nodes[0].cluster.whereis("it") is not None:
                with pytest.raises(RemoteError):
                    await cluster.nodes[0].run(_crash, "it")
            await c.until(lambda: len(c.processes(cluster, "it")) == 1)
            await asyncio.sleep(0.1)
            if await c.owner(cluster, "it") is not first:
                break
        else:
            pytest.fail("it stayed where it crashed")
        assert await cluster.nodes[0].run(c.value, "it") == 5

    simulate(scenario, 3, seed=1)


def test_an_orphan_that_cannot_begin_at_one_node_goes_to_another() -> None:
    """The home of its name says why it does not run, as long as nobody can run it."""

    async def scenario(cluster: SimulatedCluster) -> None:
        c.BROKEN.clear()
        await cluster.nodes[0].run(_start_fragile)
        victim = await c.owner(cluster, "frail")
        c.BROKEN.update(node.node_id for node in c.others(cluster, victim))
        victim.kill()
        await asyncio.sleep(10)
        told = [report for node in c.live(cluster) for report in await node.run(c.reports)]
        assert [report.name for report in told] == ["frail"]
        assert "not here" in told[0].why
        healthy = c.live(cluster)[1]
        c.BROKEN.discard(healthy.node_id)
        await c.until(lambda: c.processes(cluster, "frail") != [])
        assert await c.owner(cluster, "frail") is healthy

    simulate(scenario, 3, seed=1)


def test_a_child_and_another_process_do_not_share_a_name() -> None:
    """Whoever comes second is refused, child or not."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(_start_plain, "plain")
        await cluster.nodes[0].run(c.start, "child")
        for node, work, name in ((1, c.start, "plain"), (2, _start_plain, "child")):
            with pytest.raises(RemoteError) as raised:
                await cluster.nodes[node].run(work, name)
            assert isinstance(raised.value.__cause__, NameTakenError), raised.value

    simulate(scenario, 3, seed=1)


def test_who_is_terminated_is_no_more() -> None:
    """Its name is free at once, everywhere soon, and a new child of the name begins anew."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(c.start, "it", 5)
        await cluster.nodes[1].run(c.stop, "it")
        assert cluster.nodes[1].cluster.whereis("it") is None
        with pytest.raises(RemoteError) as raised:
            await cluster.nodes[1].run(_stop_child, "it")
        assert isinstance(raised.value.__cause__, NoSuchNameError)
        await cluster.nodes[2].run(c.start, "it", 6)
        assert await cluster.nodes[0].run(c.value, "it") == 6

    simulate(scenario, 3, seed=1)


async def _start_fragile(cluster: Cluster) -> None:
    await cluster.children.start(Fragile, name="frail")


async def _start_placed(cluster: Cluster, name: str, placement: Placement) -> None:
    await cluster.children.start(Counter, name=name, placement=placement)


async def _nap_and_drain(cluster: Cluster, names: list[str]) -> int:
    """Drain this node while each of its children takes its time."""
    for name in names:
        await foundation.cast(cluster.ref(Counter, name).nap, 1.0)
    return await cluster.drain(cluster.node.node_id)


async def _start_plain(cluster: Cluster, name: str) -> None:
    await cluster.start_process(Counter, name=name, node=cluster.node.node_id)


async def _stop_child(cluster: Cluster, name: str) -> None:
    await cluster.children.stop(name)


async def _crash(cluster: Cluster, name: str) -> None:
    await cluster.ref(Counter, name).crash()
