"""What waits for a process: a bounded queue with one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

from msgspec import Raw


class Weighed(Protocol):
    """Something whose size is known."""

    @property
    def body(self) -> Raw:
        """The largest part of it."""
        ...


T = TypeVar("T", bound=Weighed)
_OVERHEAD_BYTES = 32


class Mailbox(Generic[T]):
    """A queue that one task reads; :attr:`waiting` is open to it so that the next message costs no call."""

    __slots__ = ("_capacity", "_overflow", "_overflow_bytes", "_wake", "closed", "waiting")

    def __init__(self, capacity: int, overflow_bytes: int = 0) -> None:
        self.waiting: deque[T] = deque()
        self.closed = False
        self._capacity = capacity
        self._overflow_bytes = overflow_bytes
        self._overflow = 0
        """Bytes that were taken beyond the capacity since it was last kept."""
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self.waiting)

    def put(self, message: T) -> bool:
        """Queue a message, or return False when the mailbox is full or closed."""
        if self.closed or (len(self.waiting) >= self._capacity and not self._overflows(message)):
            return False
        self.waiting.append(message)
        self._ring()
        return True

    def push(self, message: T) -> bool:
        """Queue a message of the node itself, whatever the capacity; False when the mailbox is closed."""
        if not self.closed:
            self.waiting.append(message)
            self._ring()
        return not self.closed

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

    def _overflows(self, message: T) -> bool:
        if len(self.waiting) == self._capacity:
            self._overflow = 0
        self._overflow += len(message.body) + _OVERHEAD_BYTES
        return self._overflow <= self._overflow_bytes

    def _ring(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
