"""Names through the public face: given from anywhere, with metadata, watched by prefix, in sync on demand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import foundation
from foundation import Cluster, NameReason
from foundation.errors import (
    ArgumentError,
    CallTimeout,
    NameTakenError,
    NoSuchNameError,
    NoSuchProcessError,
    RemoteError,
)
from foundation.testing import SimulatedCluster, simulate
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually


class Worker(foundation.Process, wire_name="named.Worker"):
    async def ping(self) -> str:
        return "pong"


async def test_names_are_given_from_any_node(start_nodes: StartNodes) -> None:
    """A process, near or far, gets names after its start; nobody else gets them; they go with it."""
    here, there = await start_nodes("here", "there")
    for node in ("here", "there"):
        worker = await here.start_process(Worker, node=node)
        await here.register("one", worker)
        await here.register("two", worker)
        assert here.whereis("one") == here.whereis("two") == worker.process_id
        assert await here.ref(Worker, "one").ping() == "pong"
        for other in (here, there):
            await other.await_name("two", 5)
            with pytest.raises(NameTakenError, match="one"):
                await other.register("one", await other.start_process(Worker))
        await there.unregister("one")
        await eventually(lambda: here.whereis("one") is None)
        with pytest.raises(NoSuchNameError):
            await here.unregister("one")
        await here.stop_process(worker)
        await eventually(lambda: here.whereis("two") is None and there.whereis("two") is None)
        with pytest.raises(NoSuchProcessError):
            await here.register("one", worker)


async def test_metadata_are_seen_by_all(start_nodes: StartNodes) -> None:
    """Names are found by prefix and metadata; metadata are replaced from anywhere, and by a function at home."""
    here, there = await start_nodes("here", "there")
    for n in range(4):
        worker = await here.start_process(Worker, node="there" if n % 2 else "here")
        await here.register(f"worker:{n}", worker, {"even": n % 2 == 0, "n": n})
    await here.wait_for_sync()
    for node in (here, there):
        assert node.registry.names("worker:", {"even": True}) == ["worker:0", "worker:2"]
        assert node.registry.names("worker:1") == ["worker:1"]
        assert (node.registry.count(), node.registry.names("x")) == (4, [])
    await here.registry.update_metadata("worker:1", {"n": 10})
    await here.registry.update_metadata("worker:0", lambda metadata: metadata | {"n": 11})
    await eventually(lambda: there.registry.metadata("worker:1") == here.registry.metadata("worker:1") == {"n": 10})
    await eventually(lambda: there.registry.metadata("worker:0") == {"even": True, "n": 11})
    with pytest.raises(ArgumentError, match="does not travel"):
        await here.registry.update_metadata("worker:1", dict)
    with pytest.raises(NoSuchNameError):
        await here.registry.update_metadata("nobody", {})


async def test_names_are_watched_by_prefix(start_nodes: StartNodes) -> None:
    """A watch tells what happens to names that begin so, and nothing else, until the cluster ends."""
    here, there = await start_nodes("here", "there")
    async with here.registry.watch("a:") as watch, here.registry.watch() as everything:
        await there.start_process(Worker, name="b:1")
        worker = await there.start_process(Worker, name="a:1")
        (event,) = await anext(watch)
        assert (event.name, event.reason, event.process_id) == ("a:1", NameReason.REGISTERED, worker.process_id)
        await there.stop_process(worker)
        (event,) = await anext(watch)
        assert (event.reason, event.previous) == (NameReason.UNREGISTERED, worker.process_id)
        names = [event.name for batch in [await anext(everything) for _ in range(3)] for event in batch]
        assert names == ["b:1", "a:1", "a:1"]
        await here.stop()
        assert [batch async for batch in watch] == []


async def test_in_sync_is_in_sync(start_nodes: StartNodes) -> None:
    """After `wait_for_sync` all see what this node wrote, and it sees what they had; alone it returns at once."""
    nodes = await start_nodes("one", "two", "three")
    for turn in range(5):
        for node in nodes:
            await node.presence.track("room", f"{node.name}:{turn}")
        await nodes[0].wait_for_sync()
        assert all(f"one:{turn}" in node.presence.list("room") for node in nodes)
        assert nodes[0].presence.count("room") == 3 * (turn + 1)
    (alone,) = await start_nodes("alone", cluster_name="another")
    await alone.wait_for_sync(0.1)


async def test_a_start_holds_what_the_others_hold(start_nodes: StartNodes) -> None:
    """A node that has started knows all names, groups and presences of those it has met."""
    (first,) = await start_nodes("first")
    worker = await first.start_process(Worker)
    await asyncio.gather(*(first.register(f"name:{n}", worker, {"text": "x" * 100}) for n in range(1000)))
    await first.groups.join("workers", worker)
    await first.presence.track("room", "anne")
    options: dict[str, Any] = {"cluster": "static", "cookie": "tests", "transport": first.config.fabric.transport}
    starting = foundation.start_cluster(name="late", peers=[first.address], handle_signals=False, **options)
    async with starting as late:
        assert late.registry.count() == 1000
        assert (late.groups.count("workers"), late.presence.count("room")) == (1, 1)


# --- simulated


async def sync(cluster: Cluster, timeout_s: float) -> None:
    await cluster.wait_for_sync(timeout_s)


def test_who_is_not_reached_is_named() -> None:
    """While a member is unreachable nobody is in sync with it, and the error says so; once it is down, all are."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, second, third = cluster.nodes
        await cluster.partition([first, second], third)
        with pytest.raises(RemoteError, match="no confirmation came from node-2") as raised:
            await first.run(sync, 2.0)
        assert isinstance(raised.value.__cause__, CallTimeout)
        await first.run(sync, 25.0)
        await cluster.heal()
        await cluster.until_agreed(30)
        await first.run(sync, 5.0)

    simulate(scenario)
