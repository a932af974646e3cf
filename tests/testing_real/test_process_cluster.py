"""Nodes in OS processes that are killed, paused and started again."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from foundation import Cluster
from foundation.errors import AlreadyRunningError, CallTimeout, NodeDown, NotRunningError, RemoteError
from foundation.membership import MembershipOptions
from foundation.testing import ProcessCluster, ProcessNode, UnsupportedFault, WaitFailed
from tests.testing_real import on_nodes
from tests.waiting import turns_until

pytestmark = pytest.mark.timeout(60)
MODULES = ["tests.testing_real.on_nodes"]
SHORT: dict[str, Any] = {"fabric": {"lease_s": 1.0}, "membership": MembershipOptions(down_after_s=2.0)}


def statuses(node: ProcessNode) -> set[str]:
    return {seen.status for seen in node.sightings}


async def test_nodes_agree_through_a_kill_a_restart_and_a_leave() -> None:
    """Three agree; two see a killed one down and agree; again three with the new one; who leaves has left."""
    async with ProcessCluster(nodes=3, **SHORT) as cluster:
        first, second, third = cluster.nodes
        assert sorted(await first.members()) == [("node-0", "up"), ("node-1", "up"), ("node-2", "up")]
        killed, pid = third.node_id, third.pid
        third.kill()
        for node in (first, second):
            await node.until_sees(third, "down", 5.0)
        await cluster.until_agreed(5.0)
        assert sorted(await first.members()) == [("node-0", "up"), ("node-1", "up")]
        await third.start()
        assert (third.node_id, third.pid) != (killed, pid)
        await cluster.until_agreed(5.0)
        assert len(await third.members()) == 3
        await second.leave()
        for node in (first, third):
            await node.until_sees(second, "left", 5.0)
        await cluster.until_agreed(5.0)
        assert "ended (exit code 143)" in second.condition


async def test_a_pause_downs_nobody() -> None:
    """A node that stands still for a second, less than the lease, is down for nobody and downs nobody."""
    async with ProcessCluster(nodes=3) as cluster:
        cluster.nodes[1].pause()
        await turns_until(asyncio.get_running_loop().time() + 1.0)
        cluster.nodes[1].resume()
        await cluster.until_agreed(5.0)
        assert not any(statuses(node) & {"down", "left"} for node in cluster.nodes)


async def test_functions_run_on_nodes() -> None:
    """A function gets the cluster of its node; values come back as they were, errors with their traceback."""
    async with ProcessCluster(nodes=2, modules=MODULES, run_timeout_s=5.0) as cluster:
        first, second = cluster.nodes
        assert await second.run(on_nodes.echo, {"a": [1, 2]}, times=2) == ["node-1", {"a": [1, 2]}, {"a": [1, 2]}]
        await first.run(on_nodes.start_tally, "tally")
        assert [await node.run(on_nodes.add, "tally", 2) for node in cluster.nodes] == [2, 4]
        with pytest.raises(RemoteError, match="no luck on node-1") as caught:
            await second.run(on_nodes.fail)
        assert caught.value.error_type == "foundation.errors.NoSuchNameError"
        assert "in fail" in caught.value.remote_traceback
        await second.run(on_nodes.print_lines)
        await second.until_logged("an error")
        assert "a line of node-1" in second.log


async def test_what_cannot_be_done_is_said() -> None:
    """What would arrive changed, is not found, does not answer or is gone: each is an error of its own."""
    async with ProcessCluster(nodes=2, modules=MODULES, run_timeout_s=0.5) as cluster:
        first, second = cluster.nodes
        with pytest.raises(TypeError, match="as it is"):
            await first.run(on_nodes.echo, (1, 2))  # type: ignore[arg-type]
        with pytest.raises(RemoteError, match="as it is"):
            await first.run(on_nodes.give_tuple)

        async def local(cluster: Cluster) -> None: ...

        with pytest.raises(TypeError, match="by its name"):
            await first.run(local)
        with pytest.raises(CallTimeout):
            await first.run(on_nodes.never)
        with pytest.raises(AlreadyRunningError):
            await first.start()
        with pytest.raises(NodeDown):
            await second.run(on_nodes.end)
        with pytest.raises(NotRunningError):
            second.pause()
        for fault in (cluster.partition(first, second), cluster.partition_oneway(first, [second]), cluster.heal()):
            with pytest.raises(UnsupportedFault, match="HostCluster"):
                await fault
        for fault in (cluster.delay(first, second, 0.1), cluster.drop(first, [second], 0.1)):
            with pytest.raises(UnsupportedFault, match="SimulatedCluster"):
                await fault


async def test_a_wait_that_fails_tells_what_was_seen() -> None:
    """The error of a wait shows what each node saw last and the last lines of its log."""
    async with ProcessCluster(nodes=2, modules=MODULES) as cluster:
        first, second = cluster.nodes
        await first.run(on_nodes.print_lines)
        await first.until_logged("a line of node-0")
        second.pause()
        with pytest.raises(WaitFailed) as caught:
            await first.until_sees(second, "left", 0.3)
        assert "it said: " in str(caught.value)
        second.kill()
        with pytest.raises(WaitFailed) as caught:
            await cluster.until_agreed(0.0)
        for words in ("node-0 sees node-0", "a line of node-0", "--- node-1, ended"):
            assert words in str(caught.value)


async def test_a_node_that_does_not_start_says_why() -> None:
    """A wrong module or option ends the start at once, with what the program printed."""
    with pytest.raises(WaitFailed, match="No module named 'nowhere'"):
        async with ProcessCluster(nodes=1, modules=["nowhere"]):
            pass
    with pytest.raises(WaitFailed, match="colour: there is no such argument"):
        async with ProcessCluster(nodes=2, colour="red"):
            pass


async def test_nothing_outlives_the_block() -> None:
    """Paused or running, no process and no folder is left."""
    async with ProcessCluster(nodes=2) as cluster:
        cluster.nodes[0].pause()
        pids = [node.pid for node in cluster.nodes]
        folder = cluster._folder
        assert folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not folder.exists()
