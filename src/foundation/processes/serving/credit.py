"""How many items of a stream its reader will still take; the generator stands still at its `yield` without any."""

from __future__ import annotations

import asyncio


class Credit:
    """What one reader has granted and one generator has not used yet."""

    __slots__ = ("_left", "_waiter")

    def __init__(self, items: int) -> None:
        self._left = items
        self._waiter: asyncio.Future[None] | None = None

    async def take(self) -> None:
        """Use the right to send one item; wait until there is one."""
        while self._left <= 0:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._left -= 1

    def grant(self, items: int) -> None:
        """Add to what the reader takes; a number that no reader grants is ignored."""
        if 0 < items <= _MOST:
            self._left = min(self._left + items, _MOST)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)


_MOST = 1 << 30
