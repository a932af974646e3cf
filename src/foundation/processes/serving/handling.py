"""From a request to the method of an instance, and back with its result or its error."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

from foundation.core.clock import Clock
from foundation.core.context import NO_CONTEXT, CallContext, call_context
from foundation.errors import ArgumentError, FoundationError, NotDelivered
from foundation.processes.interface.binding import Binding
from foundation.processes.process import Process
from foundation.processes.serving.requests import Request, Requests

logger = logging.getLogger(__name__)


class Handler:
    """Run requests on one instance; nothing that a method raises gets past it, save the end of its own task."""

    def __init__(
        self, instance: Process, binding: Binding, requests: Requests, label: str, clock: Clock, turn: int
    ) -> None:
        self._instance = instance
        self._binding = binding
        self._requests = requests
        self._label = label
        self._clock = clock
        self._turn = turn

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
        sent = 0
        try:
            async with aclosing(work) as items:
                async for item in items:
                    self._requests.item(request, item)
                    sent += 1
                    if sent % self._turn == 0:
                        await asyncio.sleep(0)
        except BaseException as error:  # noqa: BLE001
            self._failed(request, error)
        else:
            self._requests.end(request)

    def _begin(self, request: Request) -> Any:  # noqa: ANN401 - a coroutine or an async generator
        """Decode the arguments and call the method; None when that is refused."""
        deadline = request.deadline
        if deadline is None:
            call_context.set(NO_CONTEXT)
        elif self._clock.now() > deadline:
            late = f"{self._label} came to {self._what(request)} after its deadline"
            return self._refuse(request, NotDelivered(late))
        else:
            call_context.set(CallContext(deadline))
        method = request.method
        try:
            if method is None:
                return self._instance.handle_message(self._binding.plain.decode(request.kind, request.body))
            args, kwargs = method.signature.decode(request.body, request.keywords)
            return method.function(self._instance, *args, **kwargs)
        except (FoundationError, TypeError) as error:
            return self._refuse(request, ArgumentError(f"{self._what(request)}: {error}"))

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
                text = f"{self._label} was stopped while it handled {self._what(request)}"
                self._requests.interrupted(request, text)
                raise error
        if request.number:
            self._requests.fault(request, error)
        if not request.number or not isinstance(error, Exception):
            logger.error("%s failed in %s", self._label, self._what(request), exc_info=error)

    def _what(self, request: Request) -> str:
        return request.method.spec.where if request.method else f"{self._binding.cls.__name__}.handle_message"
