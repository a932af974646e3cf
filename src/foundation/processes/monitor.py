"""A watch of one process or node, as its user has it in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Self

from foundation.errors import NotRunningError
from foundation.processes.ended import Ended

Tell = Callable[[Ended | None], None]
"""Takes the end of what is watched; None when this node stops before that."""
Cancel = Callable[[], None]


class Monitor:
    """Watches one process or node; await it for its :class:`Ended`, or iterate over that one item.

    :meth:`cancel`, the end of an ``async with``, or dropping it ends the watch, and leaves nothing behind.
    """

    def __init__(self, watch: Callable[[Tell], Cancel], *, is_kept: bool = False) -> None:
        """``is_kept`` says that it goes on when it is dropped, because somebody else ends it."""
        self._is_kept = is_kept
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Ended | None] = self._loop.create_future()
        self._cancel = watch(partial(_answer, self._answer))  # the watch does not know this object
        self._is_read = False

    def __await__(self) -> Generator[object, None, Ended]:
        return self._wait().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Ended:
        ended = None if self._is_read else await asyncio.shield(self._answer)
        if ended is None:
            raise StopAsyncIteration
        self._is_read = True
        return ended

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.cancel()

    def cancel(self) -> None:
        """Watch no longer: an iteration ends, and who awaits this gets a NotRunningError. Safe to call twice."""
        if not self._answer.done():
            self._cancel()
            _answer(self._answer, None)

    def close(self) -> None:
        """Cancel."""
        self.cancel()

    @property
    def is_over(self) -> bool:
        """Whether it has been told, or cancelled."""
        return self._answer.done()

    def __del__(self) -> None:
        # It may just be dropped, perhaps in a garbage collection on another thread.
        if not self._is_kept and not self._answer.done() and not self._loop.is_closed():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)

    async def _wait(self) -> Ended:
        ended = await asyncio.shield(self._answer)
        if ended is None:
            message = "this monitor was cancelled, or its node has stopped"
            raise NotRunningError(message)
        return ended


def _answer(future: asyncio.Future[Ended | None], ended: Ended | None) -> None:
    if not future.done():
        future.set_result(ended)
