"""What can have a turn in a simulated run: what is ready in a node, what it wants later, and what the world does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any


class Job(asyncio.Handle):
    """Something that is ready to run in a node."""

    __slots__ = ()

    run = asyncio.Handle._run  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a call less at every turn
    """Run it in its context; errors go to the exception handler of its loop."""


class TimedJob(asyncio.TimerHandle):
    """Something that a node wants to run later."""

    __slots__ = ()

    run = asyncio.Handle._run  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    """See :attr:`Job.run`."""


class Timer:
    """Something that happens later in the world outside the nodes: bytes arrive, a cable is given up."""

    __slots__ = ("_args", "_callback", "_is_cancelled")

    def __init__(self, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        self._callback = callback
        self._args = args
        self._is_cancelled = False

    def cancel(self) -> None:
        """Have it not happen; safe to call twice, and afterwards."""
        self._is_cancelled = True
        self._args = ()

    def cancelled(self) -> bool:
        """Tell whether it will not happen."""
        return self._is_cancelled

    def run(self) -> None:
        """Do it."""
        self._callback(*self._args)


AsyncGeneratorHook = Callable[[AsyncGenerator[Any, Any]], None]


class Lane:
    """The turns of one node."""

    def __init__(
        self, name: str, loop: asyncio.AbstractEventLoop, hooks: tuple[AsyncGeneratorHook, AsyncGeneratorHook]
    ) -> None:
        self.name = name
        self.loop = loop
        self.hooks = hooks
        self.ready: deque[Job | TimedJob] = deque()
        self.is_paused = False
        self.is_dead = False

    def state(self) -> str:
        """Say in a word how it is."""
        return "killed" if self.is_dead else "paused" if self.is_paused else "running"
