"""What one process does beside its mailbox: streams, and calls of methods marked ``@concurrent``.

Consistency: whoever waits for one of them is answered when it is ended, at the latest when the time is over that it has
to clean up; code that keeps its cancellation to itself holds up neither its caller nor its process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any

from foundation.core.tasks import TaskScope
from foundation.processes.serving.requests import Request, Requests

logger = logging.getLogger(__name__)


class Asides:
    """The tasks of one process that run beside the one that handles its messages."""

    def __init__(self, label: str, requests: Requests, over: Callable[[Request, asyncio.Task[None]], None]) -> None:
        """``over`` is called when one has ended, however that was."""
        self._label = label
        self._requests = requests
        self._over = over
        self._scope = TaskScope(label)
        self._running: dict[asyncio.Task[None], Request] = {}

    def __len__(self) -> int:
        """Count those that run, also those that do not heed that they are to end."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None], request: Request, context: Context) -> None:
        """Handle a request in a task of its own."""
        task = self._scope.start(work, str(request.number), context=context)
        request.interrupt = task.cancel
        self._running[task] = request
        task.add_done_callback(partial(self._ended, request))

    async def end(self, within_s: float | None) -> None:
        """End all that run; others can be started afterwards.

        Calls have that long to be through by themselves, as nobody wants to make them again; streams end at once. Then
        all have that long to clean up.
        """
        calls: list[asyncio.Task[None]] = []
        for task, request in self._running.items():
            if request.method is not None and request.method.stream:
                task.cancel()
            else:
                calls.append(task)
        if calls:
            await asyncio.wait(calls, timeout=within_s)
        await self.close(within_s)
        self._scope = TaskScope(self._label)

    async def close(self, within_s: float | None) -> None:
        """End all that run, for good. Waits for their cleaning up, but not longer than that."""
        try:
            await self._scope.close(within_s)
        finally:
            for request in self._running.values():
                self._abandon(request)

    def _abandon(self, request: Request) -> None:
        where = request.method.spec.where if request.method else "a message"
        text = f"{self._label} waits no longer for {where}, which does not heed that it was cancelled"
        if not request.cancelled:
            logger.warning("%s", text)
        request.cancelled = True
        self._requests.interrupted(request, text)

    def _ended(self, request: Request, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._over(request, task)
