"""Processes that the tests of this folder call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass

import foundation

NOTHING = ("nothing there", 7)


@dataclass
class Note:
    text: str


@dataclass
class Pair:
    one: Counter
    others: list[Counter]


class Counter(foundation.Process):
    """A count."""

    waiting = threading.Semaphore(0)  # one more for each handler that waits for ever, in this program
    cancelled = threading.Semaphore(0)  # one more for each that was cancelled, or stream that was closed

    def __init__(self, start: int = 0) -> None:
        self.value = start
        self.notes: list[str] = []

    async def add(self, n: int = 1) -> int:
        """Add to the count."""
        self.value += n
        return self.value

    async def watch(self, count: int = 3) -> AsyncIterator[int]:
        for step in range(count):
            yield self.value + step

    async def endless(self) -> AsyncIterator[int]:
        try:
            while True:
                yield self.value
                await asyncio.sleep(0)
        finally:
            Counter.cancelled.release()

    async def silent(self) -> AsyncIterator[int]:
        try:
            Counter.waiting.release()
            await asyncio.Event().wait()
            yield 0
        finally:
            Counter.cancelled.release()

    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise LookupError(*NOTHING)

    async def fail(self) -> None:
        raise LookupError(*NOTHING)

    async def never(self) -> None:
        Counter.waiting.release()
        try:
            await asyncio.Event().wait()
        finally:
            Counter.cancelled.release()

    async def ask(self, other: Counter, n: int) -> int:
        return await other.add(n)

    async def pair(self, other: Counter) -> Pair:
        return Pair(self.reference, [other])

    async def twin(self) -> Counter:
        return self.reference

    async def noted(self) -> list[str]:
        return self.notes

    async def handle_message(self, message: Note) -> None:
        self.notes.append(message.text)
