"""Async iterators as plain ones: streams of processes, and events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar

from foundation.blocking.session import Session
from foundation.errors import NotRunningError

T = TypeVar("T")

_READ_AHEAD = 256
"""Items that are read before somebody wants them; more saves hand-overs between threads, less saves memory."""


class _Reader(Generic[T]):
    """The end on the loop: read ahead, so that one hand-over brings all items that are there.

    It knows nothing of the :class:`Stream`, so that one that is just dropped is noticed.
    """

    def __init__(self, session: Session, source: AsyncIterator[T]) -> None:
        self._session = session
        self._source = source
        self._items: list[T] = []
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._over = False

    async def take(self) -> list[T]:
        """Return what is there, at least one item; nothing at the end; or raise what ended it."""
        if self._reading is None and not self._over:
            self._reading = self._session.start(self._read(), "read ahead")
        while not self._items and not self._over:
            self._changed.clear()
            await self._changed.wait()
        items, self._items = self._items, []
        self._room.set()
        if not items and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return items

    def stop(self) -> None:
        """Read no further, and let go of the source."""
        self._over = True
        self._changed.set()
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Stop, and wait until the source was let go."""
        self.stop()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            async for item in self._source:
                self._items.append(item)
                self._changed.set()
                if len(self._items) >= _READ_AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except Exception as error:  # noqa: BLE001 - raised where the items are wanted
            self._failure = error
        finally:
            self._over = True
            self._changed.set()
            await _let_go(self._source)


async def _let_go(source: Any) -> None:  # noqa: ANN401 - streams, events and generators share no type
    if hasattr(source, "aclose"):
        await source.aclose()
    elif hasattr(source, "close"):
        source.close()


class Stream(Generic[T]):
    """Iterate over what comes from an async iterator on the cluster's loop, from any thread.

    ``break``, :meth:`close` and the end of a ``with`` close it over there too. Up to 256 items are read ahead. Several
    threads may share one stream; each item goes to one of them.
    """

    def __init__(self, session: Session, source: AsyncIterator[T], *, ends_with_cluster: bool = False) -> None:
        self._session = session
        self._reader = _Reader(session, source)
        self._ends_with_cluster = ends_with_cluster
        self._taken: deque[T] = deque()
        self._over = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        while True:
            try:
                return self._taken.popleft()
            except IndexError:
                if self._over:
                    raise StopIteration from None
            self._fetch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; on return the generator over there has been told. Safe to call twice."""
        self._over = True
        self._taken.clear()
        with suppress(NotRunningError):
            self._session.run(self._reader.close())

    def __del__(self) -> None:
        if not self._over:
            self._session.thread.soon(self._reader.stop)

    def _fetch(self) -> None:
        try:
            items = self._session.run(self._reader.take())
        except NotRunningError:
            self._over = True
            if not self._ends_with_cluster:
                raise
        except BaseException:
            self._over = True
            self._session.thread.soon(self._reader.stop)
            raise
        else:
            self._over = not items
            self._taken.extend(items)
