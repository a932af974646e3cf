"""Async generators run over there and are read here: all items, in order, and an end that reaches both sides."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, cast

import pytest

from foundation.errors import (
    ArgumentError,
    CodecError,
    NodeDown,
    NoSuchProcessError,
    NotDelivered,
    Overloaded,
    RemoteError,
)
from foundation.processes.calling.streams import RemoteStream
from foundation.processes.ended import EndReason
from foundation.processes.host import Host
from foundation.processes.monitor import Monitor
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process, process_id_of
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.samples import Adds, Counter
from tests.processes.waiting import until


class Events:
    """What happened in a generator."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.closed = asyncio.Event()
        self.go_on = asyncio.Event()


def make_source(events: Events) -> Any:  # noqa: C901 - one class that can do all
    class Source(Process):
        async def numbers(self) -> AsyncIterator[int]:
            events.began.set()
            try:
                number = 0
                while True:
                    yield number
                    number += 1
                    if number % 3 == 0:
                        await events.go_on.wait()
            finally:
                events.closed.set()

        async def failing(self, after: int) -> AsyncIterator[int]:
            for number in range(after):
                yield number
            message = "no more"
            raise KeyError(message)

        async def wrong(self) -> AsyncIterator[int]:
            yield 1
            yield cast("int", "two")

        async def unsendable(self) -> AsyncIterator[Any]:
            yield 1
            yield object()

        async def ping(self) -> str:
            return "pong"

    return Source


async def test_all_items_in_order(here: Host, target: Host) -> None:
    """Every item arrives once and in order, and then the stream ends."""
    counter = await here.start_on(target.node_id, Counter)
    assert [number async for number in counter.count_to(1_000)] == list(range(1_000))
    assert [number async for number in counter.count_to(0)] == []
    assert len(here.calls) == 0


async def test_many_streams_at_once(here: Host, there: Host) -> None:
    """Streams of one process do not mix."""
    counter = await here.start_on(there.node_id, Counter)

    async def read(end: int) -> list[int]:
        return [number async for number in counter.count_to(end)]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(end)) for end in range(50)]
    assert [task.result() for task in tasks] == [list(range(end)) for end in range(50)]


async def test_streams_do_not_block_calls(here: Host, target: Host) -> None:
    """While a stream is open the process handles calls."""
    events = Events()
    source = await here.start_on(target.node_id, make_source(events))
    async with aclosing(source.numbers()) as numbers:
        assert await anext(numbers) == 0
        assert await source.ping() == "pong"
    await events.closed.wait()


async def test_nothing_starts_before_it_is_read(here: Host) -> None:
    """A stream that nobody reads starts nothing, like a local generator."""
    events = Events()
    source = await here.start(make_source(events))
    stream = source.numbers()
    assert await source.ping() == "pong"
    assert not events.began.is_set()
    await stream.aclose()
    assert [number async for number in stream] == []


async def test_break_closes_the_generator(here: Host, target: Host) -> None:
    """Whoever breaks out of the loop closes the generator over there: its `finally` runs."""
    events = Events()
    source = await here.start_on(target.node_id, make_source(events))
    async for number in source.numbers():
        if number == 2:
            break
    gc.collect()
    await events.closed.wait()
    assert len(here.calls) == 0


async def test_cancelled_reader_closes_the_generator(here: Host, target: Host) -> None:
    """A reader that is cancelled closes the generator over there."""
    events = Events()
    source = await here.start_on(target.node_id, make_source(events))
    read: list[int] = []

    async def reader() -> None:
        async for number in source.numbers():
            read.append(number)  # noqa: PERF401 - cancelled in the middle

    async with asyncio.TaskGroup() as group:
        task = group.create_task(reader())
        await until(lambda: len(read) == 3, "three items are read")
        task.cancel()
    await events.closed.wait()


async def test_errors_come_after_the_items(here: Host, target: Host) -> None:
    """What a generator raises reaches its reader after all items before it."""
    source = await here.start_on(target.node_id, make_source(Events()))
    stream = source.failing(5)
    assert [await anext(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError, match="no more"):
        await anext(stream)


async def test_items_that_do_not_fit(here: Host, target: Host) -> None:
    """An item that breaks its annotation, or cannot travel, ends the stream with an error."""
    source = await here.start_on(target.node_id, make_source(Events()))
    for stream, error in ((source.wrong(), CodecError), (source.unsendable(), TypeError)):
        assert await anext(stream) == 1
        with pytest.raises(error):
            await anext(stream)
        assert [item async for item in stream] == []


async def test_node_down_ends_streams(here: Host, there: Host, network: Network) -> None:
    """A stream from a node that goes down gives the items that arrived, and then NodeDown."""
    events = Events()
    source = await here.start_on(there.node_id, make_source(events))
    stream = source.numbers()
    assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
    network.down(there.node_id)
    with pytest.raises(NodeDown):
        await anext(stream)


async def test_streams_of_lost_readers_are_closed(here: Host, there: Host) -> None:
    """When the reader's node goes down its generators are closed."""
    events = Events()
    source = await here.start_on(there.node_id, make_source(events))
    stream = source.numbers()
    assert await anext(stream) == 0
    there.node_down(here.node_id)
    await events.closed.wait()
    await stream.aclose()


async def test_stopping_ends_streams(here: Host, target: Host) -> None:
    """When its process is stopped a stream ends with an error, not as if it were complete."""
    events = Events()
    source = await here.start_on(target.node_id, make_source(events))
    stream = source.numbers()
    assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
    await here.stop(source.process_id, "enough")
    assert events.closed.is_set()
    with pytest.raises(Exception, match="stopped"):
        await anext(stream)


async def test_a_generator_that_ignores_its_end_holds_nobody_up(here: Host, start_host: StartHost) -> None:
    """Its reader is told, and its process ends, when the time is over that a process has to stop."""
    there = await start_host(ProcessOptions(stop_timeout_s=0.05))
    released = asyncio.Event()

    class Deaf(Process, wire_name="acme.Deaf"):
        async def items(self) -> AsyncIterator[int]:
            yield 0
            while not released.is_set():
                with suppress(asyncio.CancelledError):
                    await released.wait()

    deaf = await here.start_on(there.node_id, Deaf)
    stream = deaf.items()
    assert await anext(stream) == 0
    process_id = process_id_of(deaf)
    monitor = Monitor(lambda tell: here.monitors.watch(process_id, tell))
    await here.stop(process_id)
    with pytest.raises(RemoteError, match=r"does not heed that it was cancelled"):
        await anext(stream)
    assert (await monitor).reason is EndReason.CRASHED
    released.set()


async def test_refusals(here: Host, start_host: StartHost) -> None:
    """A stream of nobody, or one too many, is refused with its first item."""
    there = await start_host(ProcessOptions(aside_capacity=1))
    source = await here.start_on(there.node_id, make_source(Events()))
    with pytest.raises(ArgumentError, match=r"Source\.failing: argument 'after'"):
        source.failing("x")
    first = source.numbers()
    assert await anext(first) == 0
    with pytest.raises(Overloaded):
        await anext(source.numbers())
    await first.aclose()
    await here.stop(source.process_id)
    with pytest.raises(NoSuchProcessError):
        await anext(source.numbers())


async def test_kinds_are_not_mixed_up(here: Host) -> None:
    """A stream cannot be called and a call cannot be streamed, whatever the caller believes."""
    counter = await here.start(Counter)

    class Believes(Process, wire_name="acme.Believes"):
        async def count_to(self, end: int) -> int:
            return end

        async def add(self) -> AsyncIterator[int]:
            yield 1

    wrong = here.reference(Believes, counter.process_id)
    with pytest.raises(NotDelivered, match="no method 'count_to'"):
        await wrong.count_to(1)
    with pytest.raises(NotDelivered, match="no stream 'add'"):
        await anext(wrong.add())


async def test_two_readers_of_one_stream(here: Host) -> None:
    """Two tasks that read one stream at the same time are told so, as with a local generator."""
    events = Events()
    source = await here.start(make_source(events))
    stream = source.numbers()
    for _ in range(3):
        await anext(stream)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(_outcome(stream))
        await asyncio.sleep(0)
        second = group.create_task(_outcome(stream))
        assert isinstance(await second, RuntimeError)
        first.cancel()
    await stream.aclose()


async def _outcome(stream: RemoteStream) -> Any:
    try:
        return await anext(stream)
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error


async def test_streams_through_protocols_and_names(here: Host, there: Host) -> None:
    """A stream works through a Protocol and by name."""
    await here.start_on(there.node_id, Counter, name="counter")
    by_name: Adds = here.ref(Adds, "counter")
    assert [number async for number in by_name.count_to(3)] == [0, 1, 2]


async def test_a_busy_generator_lets_others_work(here: Host) -> None:
    """A generator that never waits does not keep the loop for itself."""
    counter = await here.start(Counter)
    other = await here.start(Counter)
    stream = counter.count_to(100_000)
    assert await anext(stream) == 0
    assert await other.add(1) == 1
    here.node_down(here.node_id)
