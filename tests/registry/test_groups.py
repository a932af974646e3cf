"""Groups: who is in, near and far, through leaves, crashes and partitions; messages and calls to all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

import foundation
from foundation import Cluster
from foundation.core.identity import NodeId, ProcessId
from foundation.errors import ArgumentError, CallTimeout, NoSuchProcessError
from foundation.processes import ProcessOptions
from foundation.registry import GroupChange, GroupMember
from foundation.replication import Change
from foundation.testing import SimulatedCluster, SimulatedNode, simulate
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually, turns


@dataclass
class Note:
    text: str


class Worker(foundation.Process, wire_name="groups.Worker"):
    """Answers, and keeps what it is sent."""

    def __init__(self, number: int = 0) -> None:
        self._number = number
        self._notes: list[str] = []
        self._go_on = asyncio.Event()

    async def number(self, times: int = 1) -> int:
        return self._number * times

    async def notes(self) -> list[str]:
        return self._notes

    async def inverse(self) -> float:
        return 1 / self._number

    async def wait(self) -> None:
        await self._go_on.wait()

    async def handle_message(self, message: Note) -> None:
        self._notes.append(message.text)


class Other(foundation.Process, wire_name="groups.Other"):
    """Has nothing in common with a worker."""


def ids(members: Iterable[GroupMember]) -> set[ProcessId]:
    return {member.process_id for member in members}


async def test_processes_of_all_nodes_join_and_leave(start_nodes: StartNodes) -> None:
    """A process joins from any node, is seen from all, counts once however often it joins, and leaves as it came."""
    here, there = await start_nodes("here", "there")
    near = await here.start_process(Worker)
    far = await here.start_process(Worker, node="there")
    await here.groups.join("workers", near, {"zone": "a"})
    await here.groups.join("workers", far)
    await here.groups.join("workers", far, {"zone": "b"})
    await here.groups.join("others", near)
    await here.wait_for_sync()
    for node in (here, there):
        seen = {member.process_id: dict(member.metadata) for member in node.groups.members("workers")}
        assert seen == {near.process_id: {"zone": "a"}, far.process_id: {"zone": "b"}}
        assert all(member.is_reachable for member in node.groups.members("workers"))
        assert (node.groups.count("workers"), node.groups.names()) == (2, ["others", "workers"])
    assert ids(here.groups.local_members("workers")) == {near.process_id}
    assert ids(there.groups.local_members("workers")) == {far.process_id}
    await there.groups.leave("workers", near)
    await there.groups.leave("workers", near)
    await here.groups.leave("others", near)
    await eventually(lambda: there.groups.names() == here.groups.names() == ["workers"])
    assert ids(there.groups.members("workers")) == {far.process_id}


async def test_who_ends_is_in_no_group(start_nodes: StartNodes) -> None:
    """A process leaves all its groups when it ends, the processes of a node when that leaves; nobody can join then."""
    here, there = await start_nodes("here", "there")
    workers = [await here.start_process(Worker, node="there") for _ in range(2)]
    for worker in workers:
        await here.groups.join("one", worker)
        await here.groups("scope").join("two", worker)
    await eventually(lambda: (here.groups.count("one"), here.groups("scope").count("two")) == (2, 2))
    await here.stop_process(workers[0])
    await eventually(lambda: (here.groups.count("one"), here.groups("scope").count("two")) == (1, 1))
    for node in (here, there):
        with pytest.raises(NoSuchProcessError):
            await node.groups.join("one", workers[0])
    await there.stop()
    await eventually(lambda: (here.groups.count("one"), here.groups("scope").names()) == (0, []))


async def test_scopes_do_not_mix(start_nodes: StartNodes) -> None:
    """A group of one scope is not that of another one, whatever is in their names."""
    (here,) = await start_nodes("here")
    worker = await here.start_process(Worker)
    await here.groups("a").join("b/c", worker)
    assert here.groups("a").names() == ["b/c"]
    assert here.groups.names() == here.groups("b").names() == []
    assert here.groups("a").count("b/c") == 1
    with pytest.raises(ArgumentError, match="slash"):
        here.groups("a/b")


async def test_metadata_are_plain_values(start_nodes: StartNodes) -> None:
    """What cannot travel is refused; what was given is not changed from outside afterwards."""
    (here,) = await start_nodes("here")
    worker = await here.start_process(Worker)
    with pytest.raises(ArgumentError, match="plain values"):
        await here.groups.join("workers", worker, {"lock": object()})
    with pytest.raises(ArgumentError, match="bytes"):
        await here.groups.join("workers", worker, {"large": "x" * 100_000})
    assert here.groups.members("workers") == []
    given = {"tags": [1]}
    await here.groups.join("workers", worker, given)
    given["tags"].append(2)
    assert here.groups.members("workers")[0].metadata == {"tags": [1]}


async def test_a_message_reaches_all_members(start_nodes: StartNodes) -> None:
    """What is published lands once in `handle_message` of each member, in order, near and far, and nowhere else."""
    here, there = await start_nodes("here", "there")
    workers = [await here.start_process(Worker, node=node) for node in ("here", "there", "here", "there")]
    for worker in workers[:3]:
        await here.groups.join("workers", worker)
    await eventually(lambda: there.groups.count("workers") == 3)
    assert await here.groups.publish("workers", Note("first")) == 3
    assert await here.groups.publish("workers", Note("second")) == 3
    assert await here.groups.publish("nobody", Note("third")) == 0
    assert [await worker.notes() for worker in workers] == [["first", "second"]] * 3 + [[]]
    with pytest.raises(ArgumentError):
        await here.groups.publish("workers", object())


async def test_a_full_mailbox_holds_up_only_who_publishes(start_nodes: StartNodes) -> None:
    """While one member takes no more, the others get theirs; the one is given up after the time of a call."""
    (here,) = await start_nodes("here", processes=ProcessOptions(mailbox_capacity=64, call_timeout_s=0.2))
    stuck, free = await here.start_process(Worker), await here.start_process(Worker)
    for worker in (stuck, free):
        await here.groups.join("workers", worker)
    waiting = asyncio.ensure_future(foundation.options(stuck, timeout_s=None).wait())
    await turns()
    assert [await here.groups.publish("workers", Note(str(n))) for n in range(33)] == [2] * 33
    await eventually(lambda: here._running.host.calls.holds.held)
    publishing = asyncio.ensure_future(here.groups.publish("workers", Note("last")))
    await turns()
    assert (await free.notes())[-1] == "last"
    assert not publishing.done()
    assert await publishing == 1
    waiting.cancel()


async def test_all_members_are_asked_at_once(start_nodes: StartNodes) -> None:
    """Each member's answer comes when it is there, an error in its place, a silent one at the deadline."""
    here, there = await start_nodes("here", "there")
    workers = [await here.start_process(Worker, n, node=node) for n, node in enumerate(["here", "there", "there"])]
    stranger = await here.start_process(Other, node="there")
    for member in [*workers, stranger]:
        await here.groups.join("workers", member)
    await eventually(lambda: there.groups.count("workers") == 4)
    waiting = asyncio.ensure_future(foundation.options(workers[1], timeout_s=None).wait())
    await eventually(lambda: there._running.host._running[workers[1].process_id.serial]._handled == 1)
    answers = {
        process_id: answer
        async for process_id, answer in there.groups.call_all("workers", Worker.number, 3, timeout_s=0.3)
    }
    assert list(answers)[-1] == workers[1].process_id, "the silent one comes last"
    assert isinstance(answers.pop(workers[1].process_id), CallTimeout)
    assert "no method 'number'" in str(answers.pop(stranger.process_id))
    assert answers == {workers[0].process_id: 0, workers[2].process_id: 6}
    waiting.cancel()
    results = [answer async for _, answer in here.groups.call_all("workers", Worker.inverse)]
    assert sum(isinstance(result, ZeroDivisionError) for result in results) == 1
    assert [answer async for _, answer in here.groups.call_all("nobody", Worker.number)] == []


async def test_leaving_the_answers_cancels_the_calls(start_nodes: StartNodes) -> None:
    """Who stops reading answers leaves no call behind; wrong arguments are refused before anything is sent."""
    here, there = await start_nodes("here", "there")
    for n in range(3):
        await here.groups.join("workers", await here.start_process(Worker, n, node="there"))
    await eventually(lambda: here.groups.count("workers") == 3)
    answers: Any = here.groups.call_all("workers", Worker.number)
    assert isinstance((await anext(answers))[1], int)
    await answers.aclose()
    silent: Any = here.groups.call_all("workers", Worker.wait)
    first = asyncio.ensure_future(anext(silent))
    await eventually(lambda: len(there._running.host._requests) == 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await eventually(lambda: len(there._running.host._requests) == len(here._running.host.calls) == 0)
    with pytest.raises(ArgumentError, match="times"):
        here.groups.call_all("workers", Worker.number, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match=r"such as Worker\.status"):
        here.groups.call_all("workers", asyncio.sleep, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_changes_are_told_in_batches(start_nodes: StartNodes) -> None:
    """A watch tells joins and leaves as they come, those of one moment at once, and ends with the cluster."""
    here, there = await start_nodes("here", "there")
    workers = [await here.start_process(Worker, node="there") for _ in range(3)]
    one, scope = here.groups.watch("workers"), here.groups.watch()
    for worker in workers:
        there._running.groups._table.join(("", "workers"), worker.process_id.serial, "", {"n": 1})
    change = await anext(one)
    assert ids(change.joins) == {worker.process_id for worker in workers}
    assert (change.leaves, await anext(scope)) == ((), change)
    await here.groups.join("workers", workers[0], {"n": 2})
    change = await anext(one)
    assert [[member.metadata for member in some] for some in (change.joins, change.leaves)] == [[{"n": 2}], [{"n": 1}]]
    await there.stop()
    left: set[ProcessId] = set()
    while len(left) < 3:
        left |= ids((await anext(one)).leaves)
    await here.stop()
    assert [change async for change in one] == []


async def test_garbage_in_rows_harms_nobody(start_nodes: StartNodes) -> None:
    """Rows of other nodes that are not what they should be are no members."""
    (here,) = await start_nodes("here")
    table = here._running.groups._table
    table._shown.add(NodeId("a" * 32))
    for key in ("g", "g1", "g1/x", "gx/y/z", "g-1/y/z", "g" + "1" * 5000 + "/y/z", "g²/y/z"):
        table._changed([Change(NodeId("a" * 32), key, None, "garbage")])
    table._changed([Change(NodeId("a" * 32), "g1//x", None, "garbage")])
    assert here.groups.names() == []


# --- simulated


async def enter(cluster: Cluster, group: str, n: int) -> list[ProcessId]:
    workers = [await cluster.start_process(Worker) for _ in range(n)]
    for worker in workers:
        await cluster.groups.join(group, worker)
    return [worker.process_id for worker in workers]


async def publish(cluster: Cluster, group: str, text: str) -> int:
    return await cluster.groups.publish(group, Note(text))


async def notes(cluster: Cluster, process_id: ProcessId) -> list[str]:
    return await cluster._running.host.reference(Worker, process_id).notes()


def seen(node: SimulatedNode, group: str) -> list[tuple[str, bool]]:
    return sorted((member.process_id.node, member.is_reachable) for member in node.cluster.groups.members(group))


async def until(condition: Any) -> None:
    await eventually(condition, within_s=60)


def test_members_stay_while_a_node_is_unreachable_and_go_when_it_is_down() -> None:
    """Members across a cut are flagged, then gone on both sides; after the heal all are back."""

    async def scenario(cluster: SimulatedCluster) -> list[GroupChange]:
        first, second, third = cluster.nodes
        for node in cluster.nodes:
            await node.run(enter, "workers", 2)
        await until(lambda: all(node.cluster.groups.count("workers") == 6 for node in cluster.nodes))
        changes = first.cluster.groups.watch("workers")
        await cluster.partition([first, second], third)
        await first.until_sees(third, "unreachable")
        assert [node for node, is_reachable in seen(first, "workers") if not is_reachable] == [third.node_id] * 2
        await first.until_sees(third, "down", 30)
        await third.until_sees(first, "down", 30)
        assert {node for node, _ in seen(first, "workers")} == {first.node_id, second.node_id}
        await until(lambda: third.cluster.groups.count("workers") == 2)
        await cluster.heal()
        await cluster.until_agreed(30)
        await until(lambda: all(len(seen(node, "workers")) == 6 for node in cluster.nodes))
        assert all(is_reachable for node in cluster.nodes for _, is_reachable in seen(node, "workers"))
        changes.close()
        return [change async for change in changes]

    assert [(len(change.joins), len(change.leaves)) for change in simulate(scenario)] == [(0, 2), (2, 0)]


def test_what_is_published_across_a_short_cut_is_not_lost() -> None:
    """A member on a node that is unreachable for a while gets the message when it is back, and once."""

    async def scenario(cluster: SimulatedCluster) -> list[str]:
        first, second, third = cluster.nodes
        (process_id,) = await third.run(enter, "workers", 1)
        await until(lambda: first.cluster.groups.count("workers") == 1)
        await cluster.partition([first, second], third)
        await first.until_sees(third, "unreachable")
        assert await first.run(publish, "workers", "hello") == 1
        await cluster.heal()
        await cluster.until_agreed()
        found: list[str] = []

        async def look() -> None:
            while not found:
                found.extend(await third.run(notes, process_id))

        await asyncio.wait_for(look(), 10)
        return found

    assert simulate(scenario) == ["hello"]
