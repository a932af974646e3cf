"""Presence: who is there, with several metas per key, in diffs; hidden across a cut, gone when a node is down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import foundation
from foundation import Cluster
from foundation.core.identity import NodeId
from foundation.errors import ArgumentError, NoSuchProcessError, NotTrackedError
from foundation.registry import PresenceDiff
from foundation.replication import Change
from foundation.testing import SimulatedCluster, simulate
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually

ROOM = "room:1"


class Session(foundation.Process, wire_name="presence.Session"):
    """Stands for somebody who is online."""


def shape(diff: PresenceDiff) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return the metas that came and that left."""
    joins, leaves = [{key: [one.meta for one in metas] for key, metas in d.items()} for d in (diff.joins, diff.leaves)]
    return joins, leaves


async def test_somebody_is_present_until_the_node_says_otherwise(start_nodes: StartNodes) -> None:
    """What a node tracks is seen from all, is updated by a value or a function, and ends with untrack."""
    here, there = await start_nodes("here", "there")
    await here.presence.track(ROOM, "anne", {"status": "here"})
    await there.presence.track(ROOM, "anne", {"status": "phone"})
    await there.presence.track(ROOM, "bob")
    await there.wait_for_sync()
    for node in (here, there):
        listed = node.presence.list(ROOM)
        assert list(listed) == ["anne", "bob"]
        assert sorted(meta["status"] for meta in listed["anne"]) == ["here", "phone"]
        assert (listed["bob"], node.presence.count(ROOM), node.presence.topics()) == ([None], 2, [ROOM])
        assert node.presence.get(ROOM, "carol") == []
    await here.presence.update(ROOM, "anne", lambda meta: meta | {"typing": True})
    assert {"status": "here", "typing": True} in here.presence.get(ROOM, "anne")
    await there.presence.update(ROOM, "bob", "away")
    await eventually(lambda: here.presence.get(ROOM, "bob") == ["away"])
    await there.presence.untrack(ROOM, "bob")
    await there.presence.untrack(ROOM, "bob")
    await eventually(lambda: list(here.presence.list(ROOM)) == ["anne"])
    with pytest.raises(NotTrackedError, match="bob"):
        await there.presence.update(ROOM, "bob", "back")
    await there.stop()
    await eventually(lambda: here.presence.get(ROOM, "anne") == [{"status": "here", "typing": True}])


async def test_somebody_is_present_as_long_as_a_process(start_nodes: StartNodes) -> None:
    """What is tracked for a process, near or far, ends with it; nothing can be tracked for one that has ended."""
    here, there = await start_nodes("here", "there")
    near = await here.start_process(Session)
    far = await here.start_process(Session, node="there")
    for session in (near, far):
        await here.presence.track(ROOM, "anne", 1, process=session)
        await here.presence.track("other", "anne", 1, process=session)
        await here.presence.update(ROOM, "anne", 2, process=session)
    await eventually(lambda: here.presence.get(ROOM, "anne") == there.presence.get(ROOM, "anne") == [2, 2])
    entries = here.presence.entries(ROOM)["anne"]
    assert {entry.process_id for entry in entries} == {near.process_id, far.process_id}
    assert len({entry.ref for entry in entries}) == 2
    with pytest.raises(ArgumentError, match="does not travel"):
        await here.presence.update(ROOM, "anne", lambda meta: meta, process=far)
    with pytest.raises(NotTrackedError):
        await here.presence.update(ROOM, "bob", 3, process=far)
    await here.presence.untrack("other", "anne", process=far)
    await eventually(lambda: here.presence.get("other", "anne") == [1])
    await here.stop_process(near)
    await here.stop_process(far)
    await eventually(lambda: here.presence.topics() == there.presence.topics() == [])
    for node in (here, there):
        with pytest.raises(NoSuchProcessError):
            await node.presence.track(ROOM, "anne", 1, process=far)


async def test_changes_are_diffs(start_nodes: StartNodes) -> None:
    """What happens at once is one diff; an update is a leave and a join of the same ref; other topics are not told."""
    here, there = await start_nodes("here", "there")
    diffs = there.presence.watch(ROOM)
    await here.presence.track(ROOM, "anne", 1)
    await here.presence.track("other", "anne", 1)
    await here.presence.track(ROOM, "bob", 1)
    assert shape(await anext(diffs)) == ({"anne": [1], "bob": [1]}, {})
    await here.presence.update(ROOM, "anne", lambda meta: meta + 1)
    diff = await anext(diffs)
    assert shape(diff) == ({"anne": [2]}, {"anne": [1]})
    assert diff.joins["anne"][0].ref == diff.leaves["anne"][0].ref
    await here.presence.track(ROOM, "anne", 3)
    again = await anext(diffs)
    assert shape(again) == ({"anne": [3]}, {"anne": [2]})
    await here.presence.untrack(ROOM, "anne")
    assert shape(await anext(diffs)) == ({}, {"anne": [3]})
    await here.presence.track(ROOM, "anne", 4)
    assert (await anext(diffs)).joins["anne"][0].ref != again.joins["anne"][0].ref, "it is another presence"
    await here.stop()
    assert shape(await anext(diffs)) == ({}, {"anne": [4], "bob": [1]})
    await there.stop()
    assert [diff async for diff in diffs] == []


async def test_metas_are_plain_values(start_nodes: StartNodes) -> None:
    """What cannot travel is refused, and a meta is not changed from outside; topics and keys are any text."""
    (here,) = await start_nodes("here")
    with pytest.raises(ArgumentError, match="plain value"):
        await here.presence.track(ROOM, "anne", object())
    with pytest.raises(ArgumentError, match="bytes"):
        await here.presence.track(ROOM, "anne", "x" * 100_000)
    assert here.presence.list(ROOM) == {}
    tags = ["a"]
    await here.presence.track("a/1/b", "c/2", tags)
    tags.append("b")
    await here.presence.update("a/1/b", "c/2", lambda meta: meta.append("c") or meta)
    assert here.presence.list("a/1/b") == {"c/2": [["a", "c"]]}
    table = here._running.presence._table
    table._shown.add(NodeId("a" * 32))
    for key in ("p", "p1", "p1/x/y", "p1/9/y", "px/1/y", "p" + "1" * 5000 + "/1/y", "p1/1/y"):
        table._changed([Change(NodeId("a" * 32), key, None, "garbage")])
    assert here.presence.topics() == ["a/1/b"]


# --- simulated


async def track(cluster: Cluster, key: str) -> None:
    await cluster.presence.track(ROOM, key, cluster.name)


async def untrack(cluster: Cluster, key: str) -> None:
    await cluster.presence.untrack(ROOM, key)


def test_presence_is_hidden_across_a_cut() -> None:
    """Who is on an unreachable node leaves, and joins again with the same ref when it is reached; down is no news."""

    async def scenario(cluster: SimulatedCluster) -> list[PresenceDiff]:
        first, second, third = cluster.nodes
        for node in cluster.nodes:
            await node.run(track, "anne")
        await third.run(track, "bob")
        look = first.cluster.presence
        await eventually(lambda: len(look.get(ROOM, "anne")) == 3 and look.count(ROOM) == 2)
        diffs = look.watch(ROOM)
        for seen, meanwhile in (("unreachable", track), ("down", track), ("unreachable", untrack)):
            await cluster.partition([first, second], third)
            await first.until_sees(third, seen, 30)
            assert sorted(look.get(ROOM, "anne")) == ["node-0", "node-1"]
            await third.run(meanwhile, "bob")
            await cluster.heal()
            await cluster.until_agreed(30)
            await eventually(lambda: len(look.get(ROOM, "anne")) == 3)
        await eventually(lambda: look.count(ROOM) == 1)
        diffs.close()
        return [diff async for diff in diffs]

    diffs = simulate(scenario)
    left, back = ({}, {"anne": ["node-2"], "bob": ["node-2"]}), ({"anne": ["node-2"], "bob": ["node-2"]}, {})
    assert [shape(diff) for diff in diffs[:5]] == [left, back, left, back, left]
    assert diffs[0].leaves == diffs[1].joins == diffs[3].joins
    told = [shape(diff) for diff in diffs[5:]]
    joined = {key for joins, _ in told for key in joins} - {key for _, leaves in told for key in leaves}
    assert joined == {"anne"}, "who has gone meanwhile is not there in the end"


def test_a_crashed_node_is_gone_and_leaves_no_row() -> None:
    """Nobody is present on a node that crashed; when it is forgotten, nothing is left of it."""

    async def scenario(cluster: SimulatedCluster) -> None:
        first, _, third = cluster.nodes
        await third.run(track, "bob")
        look = first.cluster.presence
        await eventually(lambda: look.count(ROOM) == 1)
        third.kill()
        await eventually(lambda: look.count(ROOM) == 0)
        rows = first.cluster._running.replication.replica.tables
        await eventually(lambda: NodeId(third.node_id) not in rows, within_s=600)
        await third.start()
        await cluster.until_agreed()
        await third.run(track, "bob")
        await eventually(lambda: look.get(ROOM, "bob") == ["node-2"])

    simulate(scenario, replication={"retention_s": 30})


async def test_a_watch_that_is_closed_costs_nothing(start_nodes: StartNodes) -> None:
    """Streams that were closed are forgotten, however many topics they were for."""
    (here,) = await start_nodes("here")
    for n in range(100):
        async with asyncio.timeout(10), here.presence.watch(f"room:{n}"):
            pass
    sources = here._running.presence._table._sources
    here.presence.watch(ROOM)
    assert len(sources._sources) == 1
