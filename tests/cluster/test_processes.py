"""Processes across nodes, through the public face."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import pytest

import foundation
from foundation.errors import (
    ArgumentError,
    NameTakenError,
    NoEligibleNodeError,
    NoSuchNameError,
    NotDelivered,
    RemoteError,
)
from foundation.processes import ProcessOptions
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually

NOTHING = ("nothing there", 7)


class Counter(foundation.Process):
    """A count."""

    waiting = 0  # handlers that wait for ever, in this program

    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.notes: list[str] = []

    async def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    async def watch(self) -> AsyncIterator[int]:
        for step in range(3):
            yield self.value + step

    async def fail(self) -> None:
        raise LookupError(*NOTHING)

    async def never(self) -> None:
        Counter.waiting += 1
        await asyncio.Event().wait()

    async def ask(self, other: Counter, n: int) -> int:
        return await other.add(n)

    async def noted(self) -> list[str]:
        return self.notes

    async def handle_message(self, message: Note) -> None:
        self.notes.append(message.text)


@dataclass
class Note:
    text: str


class Adding(Protocol):
    async def add(self, n: int = 1) -> int: ...


async def test_a_process_works_the_same_near_and_far(start_nodes: StartNodes) -> None:
    """Calls, casts, streams and messages to a process on this node and on another one do the same."""
    here, there = await start_nodes("here", "there")
    for node in (here.node, there.node, "there", there.node.node_id):
        counter = await here.start_process(Counter, 5, node=node)
        assert await counter.add(2) == 7
        await foundation.cast(counter.add, 3)
        assert await counter.add() == 11
        assert [value async for value in counter.watch()] == [11, 12, 13]
        await here.send(counter, Note("first"))
        assert await counter.noted() == ["first"]


async def test_any_spreads_processes_over_the_nodes_that_know_the_class(start_nodes: StartNodes) -> None:
    """Processes started anywhere are spread evenly over all members."""
    nodes = await start_nodes("one", "two", "three")
    for _ in range(9):
        await nodes[0].start_process(Counter, node=foundation.ANY)
    counts = [len(await nodes[0].processes(node.node)) for node in nodes]
    assert sum(counts) == 9
    assert min(counts) >= 2  # 3 each, but for what was told while they were being started


async def test_a_name_leads_to_its_process_from_everywhere(start_nodes: StartNodes) -> None:
    """A named process is found from each node, by its class or by a Protocol, and no second one gets the name."""
    here, there = await start_nodes("here", "there")
    await here.start_process(Counter, 1, name="count", node=there.node)
    assert await here.ref(Counter, "count").add(1) == 2
    by_protocol = there.ref(Adding, "count")
    assert await by_protocol.add(1) == 3
    await here.send("count", Note("to a name"))
    assert await here.ref(Counter, "count").noted() == ["to a name"]
    for node in (here, there):
        with pytest.raises(NameTakenError, match="count"):
            await node.start_process(Counter, name="count")
    with pytest.raises(NoSuchNameError, match="nobody"):
        await here.ref(Counter, "nobody").add(1)


async def test_a_reference_travels_as_an_argument(start_nodes: StartNodes) -> None:
    """A process given a reference to another one on a third node calls it."""
    one, two, three = await start_nodes("one", "two", "three")
    asking = await one.start_process(Counter, node=two.node)
    asked = await one.start_process(Counter, 40, node=three.node)
    assert await asking.ask(asked, 2) == 42


async def test_an_error_over_there_is_the_same_error_here(start_nodes: StartNodes) -> None:
    """The caller gets the type, the arguments and the remote traceback of what the handler raised."""
    here, there = await start_nodes("here", "there")
    counter = await here.start_process(Counter, node=there.node)
    with pytest.raises(LookupError) as raised:
        await counter.fail()
    assert raised.value.args == NOTHING
    assert isinstance(raised.value.__cause__, RemoteError)
    assert "in fail" in raised.value.__cause__.remote_traceback
    assert await counter.add(1) == 1  # it lives on


async def test_a_wrong_argument_fails_at_the_caller(start_nodes: StartNodes) -> None:
    """An argument that does not fit its annotation is refused before anything is sent, naming the parameter."""
    here, there = await start_nodes("here", "there")
    counter = await here.start_process(Counter, node=there.node)
    with pytest.raises(ArgumentError, match=r"Counter\.add.*'n'.*int.*str"):
        await counter.add("x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="start"):
        await here.start_process(Counter, "x", node=there.node)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert len(await here.processes(there.node)) == 1


async def test_nowhere_to_run(start_nodes: StartNodes) -> None:
    """A node that nobody has, and a class that no member knows, are told apart."""
    (here,) = await start_nodes("here")
    with pytest.raises(NoEligibleNodeError, match=r"'mars'.*here"):
        await here.start_process(Counter, node="mars")


async def test_a_call_ends_when_its_node_goes(start_nodes: StartNodes) -> None:
    """A call that waits when its node leaves ends with an error that says so, and later ones are not delivered."""
    here, there = await start_nodes("here", "there", processes=ProcessOptions(stop_timeout_s=0.1))
    counter = await here.start_process(Counter, node=there.node)
    Counter.waiting = 0
    waiting = asyncio.ensure_future(foundation.options(counter, timeout_s=None).never())
    await eventually(lambda: Counter.waiting == 1)
    await there.stop()
    with pytest.raises(RemoteError, match="stopped while it handled"):
        await waiting
    await eventually(lambda: len(here.members()) == 1)
    with pytest.raises(NotDelivered):
        await counter.add(1)


async def test_stopping_a_process_frees_its_name(start_nodes: StartNodes) -> None:
    """A stopped process is gone everywhere, and its name can be given again."""
    here, there = await start_nodes("here", "there")
    counter = await here.start_process(Counter, 1, name="count", node=there.node)
    assert await here.ref(Counter, "count").add(1) == 2
    await here.stop_process(counter)
    with pytest.raises(NotDelivered):
        await counter.add(1)
    await here.start_process(Counter, 10, name="count")
    await there.await_name("count")
    assert await there.ref(Counter, "count").add(1) == 11


async def test_the_load_of_others_is_known(start_nodes: StartNodes) -> None:
    """`cluster_info()` counts nodes and processes of the whole cluster without asking."""
    here, there = await start_nodes("here", "there")
    for _ in range(3):
        await there.start_process(Counter)
    await eventually(lambda: here.cluster_info().processes == 3)
    info = here.cluster_info()
    assert (info.nodes, info.health, info.strategy) == (2, "healthy", "static")
    assert info.as_dict()["members"][1]["name"] == "there"
