"""One sender, any number of listeners, each with a bounded queue of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, Self, TypeVar

logger = logging.getLogger(__name__)

Event = TypeVar("Event")
Key = TypeVar("Key", bound=Hashable)


class EventStream(Generic[Event]):
    """What one listener has not read yet: an async iterator that ends when the source is closed.

    When ``capacity`` events wait, the oldest is dropped and counted in :attr:`dropped`; the source never waits.
    """

    def __init__(self, source: EventSource[Event], first: Iterable[Event], capacity: int) -> None:
        self._source = source
        self._waiting: deque[Event] = deque()
        self._capacity = capacity
        self._wake = asyncio.Event()
        self._ended = False
        self.dropped = 0
        for event in first:
            self.put(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; an iteration that waits ends once it has read what is there."""
        self._source.forget(self)
        self.end()

    def put(self, event: Event) -> None:
        """Queue one event (called by the source)."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self.dropped += 1
            if self.dropped == 1:
                logger.warning("a listener is too slow: it drops the oldest of more than %d events", self._capacity)
        self._waiting.append(event)
        self._wake.set()

    def end(self) -> None:
        """Tell the listener that no more events will come (called by the source)."""
        self._ended = True
        self._wake.set()


class EventSource(Generic[Event]):
    """Emit events to every stream that is open."""

    def __init__(self) -> None:
        self._streams: list[EventStream[Event]] = []
        self._ended = False

    def stream(self, first: Iterable[Event] = (), *, capacity: int = 10_000) -> EventStream[Event]:
        """Open a stream that begins with ``first`` and goes on with everything emitted from now on."""
        stream = EventStream(self, first, capacity)
        if self._ended:
            stream.end()
        else:
            self._streams.append(stream)
        return stream

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._streams)

    def emit(self, event: Event) -> None:
        """Give ``event`` to every open stream; never waits."""
        for stream in self._streams:
            stream.put(event)

    def forget(self, stream: EventStream[Event]) -> None:
        """Drop a stream that was closed by its reader."""
        if stream in self._streams:
            self._streams.remove(stream)

    def end(self) -> None:
        """End all streams."""
        self._ended = True
        for stream in self._streams:
            stream.end()
        self._streams.clear()


class KeyedSources(Generic[Key, Event]):
    """A source of events for each key that somebody listens to."""

    def __init__(self) -> None:
        self._sources: dict[Key, EventSource[Event]] = {}
        self._ended = False

    def __contains__(self, key: Key) -> bool:
        """Tell whether anybody listens to a key."""
        source = self._sources.get(key)
        if source is not None and not source.is_heard:
            del self._sources[key]
            return False
        return source is not None

    def __bool__(self) -> bool:
        """Tell whether anybody may listen to anything."""
        return bool(self._sources)

    def stream(self, key: Key) -> EventStream[Event]:
        """Listen to a key from now on."""
        for unheard in [other for other, source in self._sources.items() if not source.is_heard]:
            del self._sources[unheard]
        source = self._sources.setdefault(key, EventSource())
        if self._ended:
            source.end()
        return source.stream()

    def emit(self, key: Key, event: Event) -> None:
        """Give ``event`` to those who listen to ``key``."""
        if (source := self._sources.get(key)) is not None:
            source.emit(event)

    def end(self) -> None:
        """End all streams."""
        self._ended = True
        for source in self._sources.values():
            source.end()
