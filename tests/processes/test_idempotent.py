"""Calls of idempotent methods are made again while nobody knows what became of them; others never are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from foundation.core.identity import NodeId
from foundation.errors import (
    CallTimeout,
    NodeDown,
    NoSuchNameError,
    NoSuchProcessError,
    NotDelivered,
    Overloaded,
    ProcessDefinitionError,
)
from foundation.processes.calling.retrying import AGAIN
from foundation.processes.calling.verbs import options
from foundation.processes.decorators import idempotent, offload
from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.waiting import eventually


class Tries:
    """What was tried, and a gate at which it waits."""

    def __init__(self) -> None:
        self.handled: list[str] = []
        self.go_on = asyncio.Event()
        self.sent = 0

    def count(self, network: Network, source: Host, target: Host) -> None:
        """Count the frames from one host to the other."""

        def passes(sender: NodeId, receiver: NodeId, _: bytes) -> bool:
            self.sent += (sender, receiver) == (source.node_id, target.node_id)
            return True

        network.passes = passes


class Puts(Protocol):
    """Has a mark of its own."""

    @idempotent
    async def put_once(self, key: str) -> str: ...


def make_store(tries: Tries) -> type[Any]:  # noqa: C901 - one class that can do all
    class Store(Process):
        def __init__(self, name: str = "store") -> None:
            self.name = name

        @idempotent
        async def put(self, key: str) -> str:
            tries.handled.append(key)
            if key == "wait":
                await tries.go_on.wait()
            if key == "fail":
                raise ConnectionError(key)
            if key == "as if":
                message = "of a call in the handler"
                raise NotDelivered(message)
            return self.name

        @idempotent
        @offload
        def look_up(self, key: str) -> str:
            tries.handled.append(key)
            return key

        async def put_once(self, key: str) -> str:
            return await self.put(key)

        async def relay(self, other: Any) -> str:
            answer: str = await options(other, timeout_s=60).put("x")
            return answer

    return Store


@pytest.fixture
def tries() -> Tries:
    return Tries()


@pytest.fixture
async def store(here: Host, there: Host, tries: Tries) -> Any:
    return await here.start_on(there.node_id, make_store(tries), name="store")


@pytest.mark.parametrize("by_name", [False, True])
async def test_what_was_not_delivered_is_sent_again(
    by_name: bool, here: Host, there: Host, network: Network, tries: Tries, store: Any
) -> None:
    """A call to a node that is away for a while comes through once it is back, and is handled once."""
    reference = here.ref(store.__class__, "store") if by_name else store
    assert await reference.put("before") == "store"
    network.members.discard(there.node_id)
    async with asyncio.TaskGroup() as group:
        call = group.create_task(reference.put("x"))
        looking = group.create_task(store.look_up("y"))
        await asyncio.wait([call, looking], timeout=0.05)
        assert not call.done()
        network.members.add(there.node_id)
    assert (call.result(), looking.result()) == ("store", "y")
    assert sorted(tries.handled) == ["before", "x", "y"]


async def test_what_nobody_knows_is_called_again(
    here: Host, there: Host, network: Network, tries: Tries, store: Any
) -> None:
    """A call whose node went down while it was handled is handled again when the node is back."""
    async with asyncio.TaskGroup() as group:
        call = group.create_task(store.put("wait"))
        await eventually(lambda: tries.handled == ["wait"])
        network.down(there.node_id)
        there.node_down(here.node_id)
        tries.go_on.set()
        await asyncio.wait([call], timeout=0.05)
        network.members.add(there.node_id)
    assert call.result() == "store"
    assert tries.handled == ["wait", "wait"]


async def test_a_name_is_looked_up_again(
    here: Host, there: Host, start_host: StartHost, network: Network, tries: Tries, store: Any
) -> None:
    """A call by name goes to the process that has the name when it is tried again, though nobody had it meanwhile."""
    third = await start_host()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(here.ref(store.__class__, "store").put("wait"))
        await eventually(lambda: tries.handled == ["wait"])
        network.down(there.node_id)
        there.node_down(here.node_id)
        tries.go_on.set()
        await asyncio.wait([call], timeout=0.05)
        assert not call.done()
        await third.start(store.__class__, ("successor",), name="store")
    assert call.result() == "successor"


async def test_a_full_mailbox_is_tried_again(start_host: StartHost, here: Host, tries: Tries) -> None:
    """A call that finds no room is made again until there is some."""
    there = await start_host(ProcessOptions(mailbox_capacity=1, mailbox_overflow_bytes=0))
    store = await here.start_on(there.node_id, make_store(tries))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(store.put("wait")) for _ in range(2)]
        await eventually(lambda: there.processes()[0].mailbox_length == 1 and tries.handled)
        with pytest.raises(Overloaded):
            await store.put_once("once")
        calls.append(group.create_task(store.put("more")))
        await asyncio.wait(calls, timeout=0.05)
        tries.go_on.set()
    assert [call.result() for call in calls] == ["store"] * 3
    assert tries.handled == ["wait", "wait", "more"]


@pytest.mark.parametrize(("key", "expected"), [("fail", ConnectionError), ("wait", CallTimeout), ("as if", Exception)])
async def test_what_is_known_is_not_called_again(key: str, expected: type[Exception], tries: Tries, store: Any) -> None:
    """The handler's own error ends a call, whatever it is about, and so does its time limit."""
    with pytest.raises(expected):
        await options(store, timeout_s=0.05 if key == "wait" else 5).put(key)
    tries.go_on.set()
    assert tries.handled == [key]


async def test_others_are_never_called_again(here: Host, there: Host, network: Network, store: Any) -> None:
    """A method without the mark meets its error at once, by identity and by name."""
    network.members.discard(there.node_id)
    with pytest.raises(NotDelivered):
        await options(store, timeout_s=None).put_once("x")
    with pytest.raises(NotDelivered):
        await options(here.ref(store.__class__, "store"), timeout_s=None).put_once("x")


async def test_the_mark_of_the_reference_counts(
    here: Host, there: Host, network: Network, tries: Tries, store: Any
) -> None:
    """The caller's view decides: a protocol may know of a method that it is idempotent."""
    reference = here.ref(Puts, "store")
    assert await reference.put_once("x") == "store"
    network.members.discard(there.node_id)
    async with asyncio.TaskGroup() as group:
        call = group.create_task(reference.put_once("y"))
        await asyncio.wait([call], timeout=0.05)
        network.members.add(there.node_id)
    assert call.result() == "store"
    assert store is not None
    assert tries.handled == ["x", "y"]


@pytest.mark.parametrize("unknown", [False, True])
async def test_the_deadline_ends_it(
    unknown: bool, here: Host, there: Host, network: Network, tries: Tries, store: Any
) -> None:
    """When the time is over the error is the last one; but what may have been executed is not called undelivered."""
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        if not unknown:
            network.members.discard(there.node_id)
        call = group.create_task(_outcome(options(store, timeout_s=0.3).put("wait")))
        if unknown:
            await eventually(lambda: tries.handled == ["wait"])
            network.down(there.node_id)
            there.node_down(here.node_id)
            tries.go_on.set()
    outcome = call.result()
    assert type(outcome) is (NodeDown if unknown else NotDelivered)
    assert "was called" in outcome.__notes__[0]
    assert asyncio.get_running_loop().time() - began < 3


async def test_the_callers_deadline_counts_too(here: Host, there: Host, network: Network, store: Any) -> None:
    """A handler tries again for as long as its own caller waits, and no longer."""
    outer = await here.start(store.__class__)
    network.members.discard(there.node_id)
    with pytest.raises(Exception, match=r"not a member|no answer in time"):
        await options(outer, timeout_s=0.2).relay(store)
    await eventually(lambda: len(here.calls) == 0)


async def test_a_process_that_is_gone_stays_gone(
    here: Host, there: Host, network: Network, tries: Tries, store: Any
) -> None:
    """By identity a process that does not exist any more is not called again, nor is a name that nobody has."""
    await here.stop(store.process_id)
    tries.count(network, here, there)
    with pytest.raises(NoSuchProcessError):
        await options(store, timeout_s=None).put("x")
    assert tries.sent == 1
    with pytest.raises(NoSuchNameError):
        await options(here.ref(store.__class__, "nobody"), timeout_s=None).put("x")


async def test_cancelling_ends_it(there: Host, network: Network, store: Any) -> None:
    """A caller that is cancelled between two tries makes no other."""
    network.members.discard(there.node_id)
    async with asyncio.TaskGroup() as group:
        call = group.create_task(options(store, timeout_s=None).put("x"))
        await asyncio.wait([call], timeout=0.05)
        call.cancel()
        await asyncio.wait([call])
    assert call.cancelled()


def test_the_delays_grow_and_differ() -> None:
    """Many callers of one node do not come back at the same instant, nor ever faster."""
    assert AGAIN.delay_s(1, 0.0) < AGAIN.delay_s(1, 1.0) < AGAIN.delay_s(4, 0.5) <= AGAIN.most_s


def test_only_async_methods_are_marked() -> None:
    """A stream cannot be begun again in the middle, and a plain method is marked above `@offload`."""

    async def stream(_: object) -> AsyncIterator[int]:
        yield 1

    wrong: list[Any] = [stream, lambda _: None]
    for method in wrong:
        with pytest.raises(ProcessDefinitionError, match="@idempotent is for `async def`"):
            idempotent(method)


async def _outcome(call: Any) -> Any:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error
