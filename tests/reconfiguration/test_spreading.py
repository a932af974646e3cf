"""A change holds on all nodes or on none, whoever comes, goes or changes something else meanwhile."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from foundation import Cluster
from foundation.core.identity import NodeId
from foundation.errors import ReconfigurationRefused
from foundation.reconfiguration import ReconfigurationReport, SettingsRow, Written
from foundation.reconfiguration.promising import Proposal, Verdict
from foundation.reconfiguration.rows import ROW
from foundation.testing import SimulatedCluster, simulate
from tests.reconfiguration.steps import DOWN, attempt, change, only_value, settings, values

OWN = 10.0
POLL = "discovery.poll_interval_s"


def test_a_change_holds_on_all_nodes_and_tells_so() -> None:
    """Each node goes by it at once, and knows who said it, when, and how the others go by it."""

    async def scenario(cluster: SimulatedCluster) -> None:
        report = await cluster.nodes[3].run(change, {DOWN: 20, "discovery": {"poll_interval_s": 2}})
        assert only_value(cluster) == 20.0
        assert only_value(cluster, POLL) == 2.0
        names = {node.name for node in cluster.nodes}
        assert [(one.key, one.value, one.nodes) for one in report.changes] == [
            (DOWN, 20.0, dict.fromkeys(names, "live")),
            (POLL, 2.0, dict.fromkeys(names, "live")),
        ]
        assert not report.needs_restart
        await asyncio.sleep(0.1)  # until the others have heard of each other too
        for node in cluster.nodes:
            told = await node.run(settings)
            assert [(one.key, one.value, one.node) for one in told] == [(POLL, 2.0, "node-3"), (DOWN, 20.0, "node-3")]
            assert told[0].nodes == dict.fromkeys(names, "live")
            assert abs(told[0].at - node.cluster._running.host._clock.wall()) < 60

    simulate(scenario, 5, seed=1)


def test_what_was_said_can_be_taken_back() -> None:
    """Each node then goes by what its own sources say, and nothing is told any more."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(change, {DOWN: 20})
        await cluster.nodes[1].run(change, {DOWN: None})
        assert only_value(cluster) == 15.0
        assert await cluster.nodes[2].run(settings) == []

    simulate(scenario, 3, seed=1, membership={"down_after_s": 15.0})


def test_a_node_that_refuses_keeps_all_from_it() -> None:
    """Nothing changes anywhere, the error names the node, and the promises of the others are given back."""

    async def scenario(cluster: SimulatedCluster) -> None:
        cluster.nodes[3].host.skew_s = -3600.0
        refused = await cluster.nodes[0].run(attempt, {DOWN: 20})
        assert isinstance(refused, ReconfigurationRefused)
        assert refused.node == "node-3"
        assert "clock" in refused.reason
        assert only_value(cluster) == OWN
        assert [await node.run(settings) for node in cluster.nodes] == [[]] * 5
        cluster.nodes[3].host.skew_s = 0.0
        await cluster.nodes[1].run(change, {DOWN: 30})
        assert only_value(cluster) == 30.0

    simulate(scenario, 5, seed=1)


def test_a_node_that_cannot_go_by_it_has_all_go_back() -> None:
    """One part of one node fails: all nodes are back at what was said before, and hear of no half."""

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.nodes[0].run(change, {DOWN: 20})
        failures = ["no room", ""]

        def fail() -> None:
            if why := failures.pop(0):
                raise RuntimeError(why)

        cluster.nodes[2].cluster._running.reconfiguration.on_change(fail)
        refused = await cluster.nodes[1].run(attempt, {DOWN: 30, POLL: 3})
        assert isinstance(refused, ReconfigurationRefused)
        assert (refused.node, refused.reason) == ("node-2", "RuntimeError: no room")
        assert only_value(cluster) == 20.0
        assert only_value(cluster, POLL) == 1.0
        assert [(one.key, set(one.nodes.values())) for one in await cluster.nodes[2].run(settings)] == [
            (DOWN, {"live"})
        ]

    simulate(scenario, 3, seed=1)


@pytest.mark.parametrize("silently", [True, False])
def test_all_or_nothing_when_the_initiator_dies(*, silently: bool) -> None:
    """Whenever it is killed, the others end with one value; over all moments both outcomes are seen."""

    async def outcome(cluster: SimulatedCluster, after_s: float) -> Any:
        initiator = cluster.nodes[2]
        changing = initiator.host.run(lambda: attempt(initiator.cluster, {DOWN: 20, POLL: 2}))
        changing.was_awaited = True
        await asyncio.sleep(after_s)
        initiator.host.crash() if silently else initiator.kill()
        await asyncio.sleep(60)
        assert (only_value(cluster), only_value(cluster, POLL)) in {(OWN, 1.0), (20.0, 2.0)}
        value = only_value(cluster)
        later = await cluster.nodes[0].run(attempt, {DOWN: 40})  # what was promised to who died binds nobody
        assert isinstance(later, ReconfigurationReport)
        assert only_value(cluster) == 40.0
        return value

    found = {
        simulate(partial(outcome, after_s=after_s), 4, seed=1)
        for after_s in (0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.02)
    }
    assert found == {OWN, 20.0}


def test_a_node_that_joins_later_gets_it_before_it_is_up() -> None:
    """The one who said it may be gone; a node that starts goes by it from the first moment on which it counts."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = cluster.nodes
        await third.leave()
        await first.run(change, {DOWN: 20})
        await first.leave()
        await asyncio.sleep(1)
        await third.start()
        assert values(cluster)[third.name] == 20.0
        await second.leave()
        await first.start()
        assert only_value(cluster) == 20.0

    simulate(scenario, 3, seed=1)


def test_after_a_partition_the_newest_holds() -> None:
    """Both sides can change the same key meanwhile; who cannot be reached is told in the report."""

    async def scenario(cluster: SimulatedCluster) -> None:
        left, right = cluster.nodes[:2], cluster.nodes[2:]
        await cluster.partition(left, right)
        await left[0].until_sees(right[0], "unreachable")
        await left[0].until_sees(right[1], "unreachable")
        report = await left[0].run(change, {DOWN: 20})
        assert report.changes[0].nodes == {
            "node-0": "live",
            "node-1": "live",
            "node-2": "unreachable",
            "node-3": "unreachable",
        }
        await asyncio.sleep(30)
        await right[0].run(change, {DOWN: 30, POLL: 3})
        await left[1].run(change, {"membership.tick_s": 0.25})
        assert set(values(cluster).values()) == {20.0, 30.0}
        await cluster.heal()
        await cluster.until_agreed()
        await asyncio.sleep(10)
        assert only_value(cluster) == 30.0
        assert only_value(cluster, POLL) == 3.0
        assert only_value(cluster, "membership.tick_s") == 0.25

    simulate(scenario, 4, seed=1)


@pytest.mark.parametrize("seed", range(8))
def test_two_changes_at_the_same_time(seed: int) -> None:
    """One holds on all nodes; who is not told of a refusal is who holds, and one of two gets through."""

    async def scenario(cluster: SimulatedCluster) -> None:
        wanted = {1: 20.0, 3: 30.0}
        outcomes = await asyncio.gather(*(cluster.nodes[n].run(attempt, {DOWN: value}) for n, value in wanted.items()))
        made = [
            value
            for value, outcome in zip(wanted.values(), outcomes, strict=True)
            if isinstance(outcome, ReconfigurationReport)
        ]
        assert made
        assert only_value(cluster) in made
        for outcome in outcomes:
            if isinstance(outcome, ReconfigurationRefused):
                assert "changes the configuration at this moment" in outcome.reason

    simulate(scenario, 5, seed=seed)


async def both(cluster: Cluster) -> Any:
    return await asyncio.gather(attempt(cluster, {DOWN: 20}), attempt(cluster, {DOWN: 30}))


def test_two_changes_at_one_node_follow_each_other() -> None:
    """Neither is refused, and the second holds."""

    async def scenario(cluster: SimulatedCluster) -> None:
        outcomes = await cluster.nodes[0].run(both)
        assert all(isinstance(outcome, ReconfigurationReport) for outcome in outcomes)
        assert only_value(cluster) == 30.0

    simulate(scenario, 3, seed=1)


async def say_of_the_future(cluster: Cluster) -> None:
    """Write what a node of a later version could have said."""
    said = {"membership.patience": Written(1, "new", 5), DOWN: Written(2, "new", 25.0)}
    cluster._running.replication.write(ROW, SettingsRow(said, {}))


async def ask_for_the_future(cluster: Cluster, node: str) -> Verdict:
    """Ask for the promise to take what the node does not know."""
    parts = cluster._running
    proposal = Proposal(parts.fabric.node_id, cluster.name, 1, 1, {"membership.patience": 5})
    return await parts.reconfiguration.prepare(NodeId(node), proposal, 5.0)


def test_what_a_node_does_not_know_it_refuses_or_leaves() -> None:
    """Asked before, it refuses; told by rows, it keeps to the rest, passes everything on, and says what it leaves."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = cluster.nodes
        verdict = await first.run(ask_for_the_future, second.node_id)
        assert verdict.key == "membership.patience"
        assert "there is no such key" in verdict.why_not
        await first.run(say_of_the_future)
        await first.leave()
        await first.start()
        await cluster.until_agreed()
        await asyncio.sleep(0.1)
        assert only_value(cluster) == 25.0
        for node in (first, second, third):
            told = {one.key: one for one in await node.run(settings)}
            assert set(told[DOWN].nodes.values()) == {"live"}
            assert {state[:9] for state in told["membership.patience"].nodes.values()} == {"refused: "}

    simulate(scenario, 3, seed=1)


def test_a_paused_node_refuses_by_its_silence() -> None:
    """As long as it is a member that is up, nothing is changed without it."""

    async def scenario(cluster: SimulatedCluster) -> None:
        cluster.nodes[2].pause()
        refused = await cluster.nodes[0].run(attempt, {DOWN: 20})
        cluster.nodes[2].resume()
        assert isinstance(refused, ReconfigurationRefused | ReconfigurationReport)
        await cluster.until_agreed()
        await asyncio.sleep(10)
        assert only_value(cluster) == (OWN if isinstance(refused, ReconfigurationRefused) else 20.0)

    simulate(scenario, 3, seed=1)
