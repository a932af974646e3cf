"""What waits for a process: a bounded queue with one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A queue that one task reads; :attr:`waiting` is open to it so that the next message costs no call."""

    __slots__ = ("_capacity", "_wake", "closed", "waiting")

    def __init__(self, capacity: int) -> None:
        self.waiting: deque[T] = deque()
        self.closed = False
        self._capacity = capacity
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self.waiting)

    def put(self, message: T) -> bool:
        """Queue a message, or return False when the mailbox is full or closed."""
        if self.closed or len(self.waiting) >= self._capacity:
            return False
        self.waiting.append(message)
        self._ring()
        return True

    async def get(self) -> T | None:
        """Return the next message, or None when the mailbox is closed."""
        while not self.waiting:
            if self.closed:
                return None
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        return self.waiting.popleft()

    def close(self) -> list[T]:
        """Take no more messages and return those that nobody read."""
        self.closed = True
        left = list(self.waiting)
        self.waiting.clear()
        self._ring()
        return left

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
