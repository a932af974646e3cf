"""From a request to the method of an instance, and back with its result or its error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from weakref import ReferenceType

from foundation.core.clock import Clock
from foundation.core.context import CallContext, call_context
from foundation.errors import ArgumentError, CallTimeout, FoundationError, ProcessCrash
from foundation.processes.interface.binding import Binding
from foundation.processes.messages import Hop
from foundation.processes.process import Process
from foundation.processes.serving.requests import Request, Requests

logger = logging.getLogger(__name__)


_LONGEST_CHAIN = 64


class Handler:
    """Run requests on one instance.

    Nothing that a method raises gets past it, save the end of its own task and a ProcessCrash.
    """

    def __init__(
        self, instance: Process, binding: Binding, requests: Requests, hop: Hop, clock: Clock, turn: int
    ) -> None:
        self._instance = instance
        self._binding = binding
        self._requests = requests
        self._hop = hop
        self._label = hop.label
        self._clock = clock
        self._turn = turn
        self._task: ReferenceType[asyncio.Task[Any]] | None = None
        self.fate = "was stopped"
        """What becomes of the process when it ends what it handles."""

    async def perform(self, request: Request) -> None:
        """Run a method, or `handle_message`, and answer."""
        work = self._begin(request)
        if work is None:
            return
        try:
            result = await work
        except BaseException as error:  # noqa: BLE001 - also SystemExit: a handler must not end the node
            self._failed(request, error)
        else:
            if request.number:
                self._requests.reply(request, result)

    async def stream(self, request: Request) -> None:
        """Run an async generator and send its items."""
        work = self._begin(request)
        if work is None:
            return
        try:
            async with aclosing(work) as items:
                await self._send(request, items)
        except BaseException as error:  # noqa: BLE001
            self._failed(request, error)
        else:
            self._requests.end(request)

    async def _send(self, request: Request, items: AsyncIterator[Any]) -> None:
        sent, task = 0, asyncio.current_task()
        async for item in items:
            if task is not None and task.cancelling():  # and the generator has kept that to itself
                raise asyncio.CancelledError
            if request.credit is not None:
                await request.credit.take()
            if not self._requests.room(request):
                await self._requests.wait_for_room(request)
            self._requests.item(request, item)
            sent += 1
            if sent % self._turn == 0:
                await asyncio.sleep(0)

    def describe(self, request: Request) -> str:
        """Name the process and the method that handles a request."""
        return f"{self._label} in {self._what(request)}"

    def _begin(self, request: Request) -> Any:  # noqa: ANN401 - a coroutine or an async generator
        """Decode the arguments and call the method; None when that is refused."""
        deadline, method = request.deadline, request.method
        if deadline is not None and self._clock.now() > deadline:
            late = f"{self._label} came to {self._what(request)} after its deadline"
            return self._refuse(request, CallTimeout(late))
        chain = request.chain
        if method is None or not method.aside:  # a handler aside keeps nobody from the mailbox
            chain = (*chain, self._hop) if len(chain) < _LONGEST_CHAIN else ()
        call_context.set(CallContext(deadline, chain, self._own_task()))
        try:
            if request.hook is not None:
                return request.hook.run(self._instance)
            if method is None:
                return self._instance.handle_message(self._binding.plain.decode(request.kind, request.body))
            args, kwargs = method.signature.decode(request.body, request.keywords)
            return method.function(self._instance, *args, **kwargs)
        except (FoundationError, TypeError) as error:
            return self._refuse(request, ArgumentError(f"{self._what(request)}: {error}"))

    def _own_task(self) -> ReferenceType[asyncio.Task[Any]] | None:
        """Return the task that runs this handler: mostly the process's own, of which one reference is kept."""
        task = asyncio.current_task()
        if task is None or (self._task is not None and self._task() is task):
            return self._task
        made = ReferenceType(task)
        if self._task is None:
            self._task = made
        return made

    def _refuse(self, request: Request, error: FoundationError) -> None:
        if request.number:
            self._requests.refuse(request, error)
        else:
            logger.warning("%s dropped a message: %s", self._label, error)

    def _failed(self, request: Request, error: BaseException) -> None:
        if isinstance(error, GeneratorExit):
            raise error
        if isinstance(error, asyncio.CancelledError):
            if request.cancelled:
                return
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                text = f"{self._label} {self.fate} while it handled {self._what(request)}"
                self._requests.interrupted(request, text)
                raise error
        if request.number:
            self._requests.fault(request, error)
        if not request.number or not isinstance(error, Exception):
            logger.error("%s failed in %s", self._label, self._what(request), exc_info=error)
        if isinstance(error, ProcessCrash):
            raise error

    def _what(self, request: Request) -> str:
        if request.hook is not None:
            return f"{self._binding.cls.__name__}.{request.hook.name}"
        return request.method.spec.where if request.method else f"{self._binding.cls.__name__}.handle_message"
