"""Futures and tasks that hash by the order in which they were made.

``asyncio.wait`` and ``TaskGroup`` keep sets of them. By default their hash is their address, so the order in which such
a set is walked, and with it the order of cancellations, would differ from run to run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class NumberedFuture(asyncio.Future[T]):
    """A future with a number."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class NumberedTask(asyncio.Task[T]):
    """A task with a number, which is also its name if it was given none."""

    def __init__(
        self,
        number: int,
        work: Coroutine[Any, Any, T],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        self._number = number  # asyncio asks for the hash while it initializes the task
        # asyncio would count the tasks of all runs in this program.
        super().__init__(work, loop=loop, name=name or f"Task-{number}", context=context)

    def __hash__(self) -> int:
        return self._number
