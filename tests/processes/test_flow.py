"""Nobody is outrun, and nobody waits for himself: credit, room and deadlocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from foundation.errors import CallTimeout, DeadlockError, Overloaded
from foundation.processes.calling.verbs import cast, options
from foundation.processes.decorators import concurrent
from foundation.processes.host import Host
from foundation.processes.messages import Call, Open
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.waiting import until

made: list[int] = []


class Source(Process):
    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            made.append(number)
            yield number


async def test_a_slow_reader_stops_the_generator(start_host: StartHost) -> None:
    """A generator runs no further ahead of its reader than the credit, and every item arrives in order."""
    made.clear()
    here, there = await start_host(ProcessOptions(stream_credit=10)), await start_host()
    source = await here.start_on(there.node_id, Source)
    got: list[int] = []
    async for number in source.numbers(200):
        got.append(number)
        for _ in range(30):
            await asyncio.sleep(0)
        assert len(made) <= len(got) + 11
    assert got == list(range(200))


async def test_a_reader_without_credit_gets_all(here: Host, there: Host, network: Network) -> None:
    """A node of yesterday, which grants nothing because it knows no credit, is sent all items."""
    made.clear()
    source: Any = await here.start_on(there.node_id, Source)
    sent: list[bytes] = []
    network.passes = lambda _source, _target, frame: sent.append(frame) is None
    stream = source.numbers(1000)
    first = await anext(stream)
    opening = msgspec.msgpack.decode(sent[0])
    assert opening[0] == 7
    old = Open(*opening[1:6])
    assert old.credit == 0
    await stream.aclose()
    assert first == 0


class Asker(Process):
    async def ask(self, other: Asker, back: Asker) -> str:
        return await other.answer(back)

    async def answer(self, other: Asker) -> str:
        return await other.name()

    async def name(self) -> str:
        return "asker"

    async def ask_myself(self) -> str:
        return await self.reference.name()

    @concurrent
    async def name_aside(self) -> str:
        return "aside"

    async def answer_aside(self, other: Asker) -> str:
        return await other.name_aside()

    async def ask_aside(self, other: Asker, back: Asker) -> str:
        return await other.answer_aside(back)

    async def ask_in_background(self, other: Asker, back: Asker) -> str:
        task = asyncio.ensure_future(options(other, timeout_s=0.1).answer(back))
        try:
            return await task
        except CallTimeout:
            return "ended by its deadline"


@pytest.mark.parametrize("method", ["ask_myself", "ask"])
async def test_a_circle_is_reported_at_once(here: Host, target: Host, method: str) -> None:
    """A chain of calls that leads back to a process which waits for it is refused, naming the chain."""
    one = await here.start_on(target.node_id, Asker)
    two = await here.start(Asker)
    async with asyncio.timeout(2):  # far less than the time-out of a call
        with pytest.raises(DeadlockError, match=r"Asker.*->.*Asker"):
            await (one.ask_myself() if method == "ask_myself" else one.ask(two, one))
    assert await one.name() == "asker"


async def test_what_is_no_deadlock_raises_no_alarm(here: Host, there: Host) -> None:
    """A call back to a concurrent method is answered; a task in the background is no wait of the handler's own."""
    one, two = await here.start(Asker), await here.start_on(there.node_id, Asker)
    assert await one.ask_aside(two, one) == "aside"
    assert await one.ask_in_background(two, one) == "ended by its deadline"
    assert await one.ask(two, await here.start(Asker)) == "asker"


class Sink(Process):
    def __init__(self) -> None:
        self.got: list[int] = []

    async def put(self, number: int) -> None:
        self.got.append(number)

    async def all(self) -> list[int]:
        return self.got


async def test_senders_wait_for_room(here: Host, there: Host, network: Network) -> None:
    """While there is no room for a node, casts and calls to it wait, in order; a call gives up at its time-out."""
    sink = await here.start_on(there.node_id, Sink)
    network.crowded.add(there.node_id)

    async def give() -> None:
        for number in range(10):
            await cast(sink.put, number)

    giving = asyncio.ensure_future(give())
    with pytest.raises(Overloaded, match="no room"):
        await options(sink, timeout_s=0.05).all()
    assert not giving.done()
    network.crowded.clear()
    network.eased.set()
    await giving
    assert await sink.all() == list(range(10))


async def test_frames_of_yesterday_are_understood(here: Host, there: Host, network: Network) -> None:
    """A call as the version before wrote it, without the fields that were added, is answered."""
    sink: Any = await there.start(Sink)
    answers: list[bytes] = []
    network.passes = lambda _source, target, frame: target != here.node_id or answers.append(frame) is not None
    arguments = msgspec.Raw(msgspec.msgpack.encode([7]))
    recorded = msgspec.msgpack.encode([1, 5, sink.process_id.serial, "put", 5000, arguments, None])
    there.receive(here.node_id, msgspec.msgpack.encode([msgspec.Raw(recorded)]))
    await until(lambda: bool(answers), "the answer")
    assert msgspec.msgpack.decode(answers[0]) == [4, 5, None]
    assert Call(5, 1, "put", None, arguments).chain == ()
