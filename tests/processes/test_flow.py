"""Nobody is outrun, and nobody waits for himself: credit, room and deadlocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from foundation.core.channels import Channel
from foundation.errors import ArgumentError, CallTimeout, DeadlockError, NotDelivered, Overloaded, RemoteError
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


class Lister(Process):
    async def share(self, count: int) -> int:
        return 6 // count

    async def all(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number


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
    assert await options(sink, channel="control").all() == []
    network.crowded.clear()
    network.eased.set()
    await giving
    assert await sink.all() == list(range(10))


async def test_all_that_a_call_waits_for_is_within_its_time(here: Host, there: Host, network: Network) -> None:
    """The time-out is for the room, the full mailbox and the answer together; a cast has no more of it either."""
    sink = await here.start_on(there.node_id, Sink)
    clock = asyncio.get_running_loop().time
    network.crowded.add(there.node_id)
    here.calls.holds.hold(sink.process_id)
    network.passes = lambda _source, _target, _frame: False
    limited = options(sink, timeout_s=0.5)
    began = clock()
    calls = [asyncio.ensure_future(work) for work in (limited.all(), cast(limited.put, 1))]
    _, waiting = await asyncio.wait(calls, timeout=0.3)
    assert len(waiting) == 2
    network.crowded.clear()
    network.eased.set()
    _, waiting = await asyncio.wait(calls, timeout=0.1)
    assert len(waiting) == 2
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, Overloaded)
    assert 0.4 < clock() - began < 0.7
    network.crowded.add(there.node_id)
    network.eased.clear()
    with pytest.raises(Overloaded, match="no room"):
        await cast(options(sink, timeout_s=0.05).put, 1)


class Slow(Process):
    def __init__(self) -> None:
        self.got: list[int] = []

    async def block(self) -> None:
        await doors[-1].wait()

    async def put(self, number: int) -> int:
        self.got.append(number)
        return number

    async def all(self) -> list[int]:
        return self.got


doors: list[asyncio.Event] = []


async def blocked(here: Host, there: Host) -> Slow:
    """Return a process that handles nothing until the door opens."""
    doors.append(asyncio.Event())
    slow = await here.start_on(there.node_id, Slow)
    await cast(slow.block)
    return slow


async def give(slow: Slow, count: int) -> None:
    for number in range(count):
        await cast(slow.put, number)


@pytest.mark.parametrize("far", [False, True])
async def test_a_full_mailbox_slows_its_senders(far: bool, start_host: StartHost) -> None:
    """Casts to a process that does not keep up wait before they are sent, none is lost, and order holds."""
    here = await start_host(ProcessOptions(mailbox_capacity=200))
    there = await start_host(ProcessOptions(mailbox_capacity=200)) if far else here
    slow = options(await blocked(here, there), timeout_s=None)
    giving = asyncio.ensure_future(give(slow, 5_000))
    await until(lambda: bool(here.calls.holds.held), "the sender is asked to wait")
    for _ in range(200):
        await asyncio.sleep(0)
    assert there.processes()[0].mailbox_length < 400
    assert not giving.done()
    doors[-1].set()
    await giving
    assert await slow.all() == list(range(5_000))
    assert there.dropped_casts == 0
    assert not here.calls.holds.held


async def test_calls_wait_for_a_full_mailbox_too(start_host: StartHost, here: Host) -> None:
    """Many calls at once to a blocked process are all answered; one whose time is up before was surely not sent."""
    there = await start_host(ProcessOptions(mailbox_capacity=100))
    slow = await blocked(here, there)
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(slow.put(number)) for number in range(100)]
        await until(lambda: bool(here.calls.holds.held), "the sender is asked to wait")
        later = [group.create_task(slow.put(number)) for number in range(100, 2_000)]
        with pytest.raises(Overloaded, match=r"the mailbox of .* was full for 0\.05 s"):
            await options(slow, timeout_s=0.05).put(-1)
        with pytest.raises(Overloaded, match=r"was full for 0\.05 s"):
            await cast(options(slow, timeout_s=0.05).put, -1)
        doors[-1].set()
        assert sorted(await asyncio.gather(*first, *later)) == list(range(2_000))


@pytest.mark.parametrize("end", ["stop", "down"])
async def test_who_waits_for_a_mailbox_hears_of_its_end(
    end: str, start_host: StartHost, here: Host, network: Network
) -> None:
    """When the process or its node ends, whoever waits to send to it learns that nothing was delivered."""
    there = await start_host(ProcessOptions(mailbox_capacity=100))
    slow = await blocked(here, there)
    giving = asyncio.ensure_future(give(slow, 1_000))
    await until(lambda: bool(here.calls.holds.held), "the sender is asked to wait")
    calling = asyncio.ensure_future(slow.put(1))
    await asyncio.sleep(0)
    if end == "down":
        network.down(there.node_id)
        with pytest.raises(NotDelivered, match="went down"):
            await giving
    else:
        stopping = asyncio.ensure_future(here.stop(slow.process_id))
        await giving
        doors[-1].set()
        await stopping
    with pytest.raises(NotDelivered):
        await calling
    assert not here.calls.holds.held


async def test_answers_take_the_lane_of_the_question(here: Host, there: Host, network: Network) -> None:
    """What comes back through a reference comes in its channel, results, items and errors alike."""
    lister = options(await here.start_on(there.node_id, Lister), channel="data")
    network.lanes.clear()
    assert await lister.share(2) == 3
    assert [item async for item in lister.all(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        await lister.share(0)
    async for _ in lister.all(1_000_000):
        break
    before = len(network.lanes)
    await until(lambda: len(network.lanes) > before, "the end of the stream")
    assert set(network.lanes) == {Channel.DATA}
    with pytest.raises(ArgumentError, match="no channel 'fast', only control, events, telemetry, data"):
        options(lister, channel="fast")  # type: ignore[arg-type]


async def test_an_answer_without_room_is_told_to_be_missing(here: Host, there: Host, network: Network) -> None:
    """A handler that ran and whose answer cannot be sent: the caller hears that, and not nothing until its deadline."""
    sink = await here.start_on(there.node_id, Sink)
    network.overloaded.add(here.node_id)
    with pytest.raises(RemoteError, match=r"it was handled, but the answer cannot be sent: too much waits"):
        await sink.put(1)
    network.overloaded.clear()
    assert await sink.all() == [1]


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
