"""Listeners get every event in order, or lose the oldest, and never hold up the source."""

from __future__ import annotations

import asyncio

import pytest

from foundation.core.events import EventSource, EventStream, KeyedSources
from foundation.core.tasks import TaskScope
from tests.waiting import turns


async def collect(stream: EventStream[int]) -> list[int]:
    return [event async for event in stream]


async def test_a_stream_begins_with_what_was_there() -> None:
    """The first events and the later ones arrive without a gap and in order."""
    source: EventSource[int] = EventSource()
    stream = source.stream([1, 2])
    source.emit(3)
    source.end()
    assert await collect(stream) == [1, 2, 3]


async def test_every_stream_gets_every_event() -> None:
    """Listeners do not take events from each other."""
    source: EventSource[int] = EventSource()
    streams = [source.stream() for _ in range(3)]
    source.emit(1)
    source.end()
    assert [await collect(stream) for stream in streams] == [[1]] * 3


async def test_a_slow_listener_loses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    """A full queue drops its oldest event, counts it, says so once, and keeps its bound."""
    source: EventSource[int] = EventSource()
    stream = source.stream(capacity=3)
    for number in range(10):
        source.emit(number)
    assert stream.dropped == 7
    assert caplog.text.count("too slow") == 1
    source.end()
    assert await collect(stream) == [7, 8, 9]


async def test_the_first_events_are_bounded_too() -> None:
    """A stream that begins with more than its capacity drops the oldest of them."""
    source: EventSource[int] = EventSource()
    stream = source.stream(range(10), capacity=3)
    source.emit(10)
    source.end()
    assert await collect(stream) == [8, 9, 10]
    assert stream.dropped == 8


async def test_a_waiting_listener_is_woken_by_each_event() -> None:
    """No wake-up is lost, however events and reads interleave."""
    source: EventSource[int] = EventSource()
    stream = source.stream()
    async with asyncio.timeout(10), TaskScope("test") as scope:
        reading = scope.start(collect(stream), "read")
        for number in range(100):
            source.emit(number)
            await turns(number % 4)
        source.end()
        assert await reading == list(range(100))


async def test_two_readers_of_one_stream_share_its_events() -> None:
    """Each event goes to one of them, and both end."""
    source: EventSource[int] = EventSource()
    stream = source.stream()
    async with asyncio.timeout(10), TaskScope("test") as scope:
        readers = [scope.start(collect(stream), "read") for _ in range(2)]
        await turns()
        for number in range(10):
            source.emit(number)
            await turns(number % 3)
        source.end()
        one, two = [await reader for reader in readers]
        assert sorted(one + two) == list(range(10))


async def test_a_closed_stream_ends_and_is_forgotten() -> None:
    """Who stops listening reads what is there and then the end; the source keeps nothing of it."""
    source: EventSource[int] = EventSource()
    async with source.stream() as stream:
        source.emit(1)
    source.emit(2)
    assert await collect(stream) == [1]
    assert source._streams == []
    stream.close()


async def test_an_ended_source_gives_ended_streams() -> None:
    """Who comes after the end reads the first events and then the end, and waits for nothing."""
    source: EventSource[int] = EventSource()
    source.end()
    source.emit(1)
    async with asyncio.timeout(10):
        assert await collect(source.stream([7])) == [7]


async def test_keyed_sources_tell_each_key_its_own() -> None:
    """A stream gets what is emitted for its key; keys that nobody listens to any more are forgotten; all end."""
    sources: KeyedSources[str, int] = KeyedSources()
    assert not sources
    first, again, other = sources.stream("a"), sources.stream("a"), sources.stream("b")
    sources.emit("a", 1)
    sources.emit("b", 2)
    sources.emit("c", 3)
    assert ("a" in sources, "b" in sources, "c" in sources) == (True, True, False)
    other.close()
    assert "b" not in sources
    again.close()
    assert "a" in sources
    sources.end()
    async with asyncio.timeout(10):
        assert [await collect(stream) for stream in (first, again, other, sources.stream("d"))] == [[1], [1], [2], []]
