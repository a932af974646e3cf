"""Nodes on hosts of their own, between which cables are pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from foundation.fabric import FabricOptions
from foundation.membership import MembershipOptions
from foundation.testing import HostCluster, ProcessNode
from tests.testing_real import on_nodes
from tests.testing_real.test_process_cluster import statuses
from tests.waiting import turns_until

pytestmark = [
    pytest.mark.skipif(HostCluster.why_not() is not None, reason=str(HostCluster.why_not())),
    pytest.mark.timeout(60),
]
LEASE_S = 1.0
DOWN_AFTER_S = 2.0
SHORT: dict[str, Any] = {"fabric": {"lease_s": LEASE_S}, "membership": {"down_after_s": DOWN_AFTER_S}}
DEFAULT_LEASE_S = FabricOptions().lease_s
DEFAULT_DOWN_AFTER_S = MembershipOptions().down_after_s

short_and_default = pytest.mark.parametrize(
    ("options", "lease_s", "down_after_s"),
    [
        pytest.param(SHORT, LEASE_S, DOWN_AFTER_S, id="short"),
        pytest.param({}, DEFAULT_LEASE_S, DEFAULT_DOWN_AFTER_S, id="default"),
    ],
)


async def all_see(cut_off: ProcessNode, others: Iterable[ProcessNode], status: str, timeout_s: float) -> None:
    async with asyncio.TaskGroup() as group:
        for other in others:
            group.create_task(other.until_sees(cut_off, status, timeout_s))
            group.create_task(cut_off.until_sees(other, status, timeout_s))


@short_and_default
async def test_a_short_cut_is_seen_by_all_and_ends_in_agreement(
    options: dict[str, Any], lease_s: float, down_after_s: float
) -> None:
    """One of three that is cut off is unreachable on both sides within lease + 1 s; 5 s after the heal all agree."""
    del down_after_s
    async with HostCluster(nodes=3, **options) as cluster:
        first, second, third = cluster.nodes
        await cluster.partition([third], [first, second])
        await all_see(third, (first, second), "unreachable", lease_s + 1)
        await cluster.heal()
        await cluster.until_agreed(5.0)
        assert not any("down" in statuses(node) for node in cluster.nodes)


async def test_two_nodes_that_gave_each_other_up_agree_again() -> None:
    """Who has been given up, on both sides, is up again within 5 s of the heal."""
    async with HostCluster(nodes=2, **SHORT) as cluster:
        first, second = cluster.nodes
        await cluster.partition(first, second)
        await all_see(first, [second], "down", LEASE_S + 2 * DOWN_AFTER_S)
        await cluster.heal()
        await cluster.until_agreed(5.0)


async def test_a_node_that_two_gave_up_is_down_for_both() -> None:
    """One of three that is cut off for long is down on both sides, for everybody, and up again after the heal."""
    async with HostCluster(nodes=3, **SHORT) as cluster:
        first, second, third = cluster.nodes
        await cluster.partition(third, (first, second))
        await all_see(third, (first, second), "down", LEASE_S + 2 * DOWN_AFTER_S)
        await cluster.heal()
        await cluster.until_agreed(5.0)


@short_and_default
async def test_a_cut_between_two_of_three_downs_nobody(
    options: dict[str, Any], lease_s: float, down_after_s: float
) -> None:
    """Two that are cut from each other for long stay members as long as both reach the third."""
    async with HostCluster(nodes=3, **options) as cluster:
        first, second, third = cluster.nodes
        await cluster.partition(second, third)
        await second.until_sees(third, "unreachable", lease_s + 1)
        await third.until_sees(second, "unreachable", lease_s + 1)
        await turns_until(asyncio.get_running_loop().time() + 1.5 * down_after_s)
        await cluster.heal()
        await cluster.until_agreed(5.0)
        assert not any("down" in statuses(node) for node in (first, second, third))


@pytest.mark.parametrize("is_mute", [True, False], ids=["mute", "deaf"])
@short_and_default
async def test_a_oneway_cut_ends_in_agreement(
    options: dict[str, Any], lease_s: float, down_after_s: float, is_mute: bool
) -> None:
    """Who cannot send, or cannot hear, is unreachable on both sides, and nobody has a wrong picture after the heal."""
    del down_after_s
    async with HostCluster(nodes=3, **options) as cluster:
        first, second, third = cluster.nodes
        if is_mute:
            await cluster.partition_oneway(third, (first, second))
        else:
            await cluster.partition_oneway((first, second), third)
        await all_see(third, (first, second), "unreachable", 2 * lease_s + 1)
        await cluster.heal()
        await cluster.until_agreed(5.0)


@short_and_default
async def test_a_flapping_link_ends_in_agreement(options: dict[str, Any], lease_s: float, down_after_s: float) -> None:
    """A link that goes and comes twenty times, twice for longer than the lease, leaves nobody out."""
    del down_after_s
    async with HostCluster(nodes=3, **options) as cluster:
        first, _, third = cluster.nodes
        now = asyncio.get_running_loop().time
        for turn in range(20):
            await cluster.partition(first, third)
            await turns_until(now() + (1.5 * lease_s if turn % 10 == 9 else 0.1))
            await cluster.heal()
            await turns_until(now() + 0.05)
        await cluster.until_agreed(5.0)


async def test_calls_into_a_cut_do_not_stop_their_node() -> None:
    """A node that sends megabytes over Zenoh's routes into a broken network goes on with everything else."""
    async with HostCluster(2, ["tests.testing_real.on_nodes"], fabric={"direct_links": False}) as cluster:
        first, second = cluster.nodes
        await first.run(on_nodes.start_far_tally, second.name)
        await cluster.partition(first, second)
        assert await first.run(on_nodes.standstill_while_storing, 64, 50_000, 2.0) < 1.0


async def test_a_rate_holds_back_what_a_node_sends() -> None:
    """At 200 kB/s, 200 kB take at least half a second to come from a node; unlimited they do not, before or after."""
    async with HostCluster(nodes=2, modules=["tests.testing_real.on_nodes"]) as cluster:
        first, second = cluster.nodes
        await second.run(on_nodes.start_tally, "tally")
        free_s = await first.run(on_nodes.time_to_load, "tally", 200_000)
        await cluster.rate(second, 200_000)
        held_s = await first.run(on_nodes.time_to_load, "tally", 200_000)
        await cluster.rate(second, None)
        assert free_s < 0.5 <= held_s
        for _ in range(20):  # TCP finds out after a while
            if await first.run(on_nodes.time_to_load, "tally", 200_000) < 0.5:
                return
        pytest.fail("it is still slow")
