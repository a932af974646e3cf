"""The reader's end of an async generator that runs in another process."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from msgspec import Raw

from foundation.core.channels import Channel
from foundation.core.identity import ProcessId
from foundation.errors import NotDelivered, Overloaded
from foundation.processes.calling.calls import Inbox, error_of
from foundation.processes.calling.dialer import Dialer
from foundation.processes.calling.following import elsewhere, find
from foundation.processes.interface.binding import BoundMethod
from foundation.processes.messages import Keywords


class RemoteStream:
    """Iterate over the items of a remote generator, in order.

    It starts with the first item that is asked for. A process that has moved before it came to that is followed, as by
    a call, as long as a call would take; from then on a stream ends with its process.

    Whoever stops reading (``break``, cancellation, :meth:`aclose`) closes the generator over there, so that its
    ``finally`` runs.
    """

    __slots__ = (
        "_arguments",
        "_channel",
        "_dialer",
        "_inbox",
        "_keywords",
        "_loop",
        "_method",
        "_over",
        "_target",
        "_timeout_s",
    )

    def __init__(
        self,
        dialer: Dialer,
        target: ProcessId | str,
        method: BoundMethod,
        arguments: bytes,
        keywords: Keywords,
        channel: Channel,
        timeout_s: float | None,
    ) -> None:
        self._dialer = dialer
        self._target = target
        self._method = method
        self._arguments = arguments
        self._keywords = keywords
        self._channel = channel
        self._timeout_s = timeout_s
        self._inbox: Inbox | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401
        if self._over:
            raise StopAsyncIteration
        try:
            item = await (self._first() if self._inbox is None else self._next(self._inbox))
            return self._method.result(item)
        except BaseException:
            self._leave()
            raise

    async def aclose(self) -> None:
        """Stop reading and close the generator over there; it has not necessarily finished on return."""
        self._leave()

    def __del__(self) -> None:
        # `break` just drops the iterator, perhaps in a garbage collection on another thread.
        if not self._over and self._loop is not None and not self._loop.is_closed() and self._inbox is not None:
            self._loop.call_soon_threadsafe(self._dialer.calls.leave_stream, self._inbox)

    async def _first(self) -> Raw:
        self._loop = asyncio.get_running_loop()
        if isinstance(self._target, ProcessId):
            return await self._next(self._open_at(self._target))
        name, calls = self._target, self._dialer.calls
        target = self._dialer.known(name) or await find(self._dialer, name, calls.deadline(self._timeout_s))
        deadline: float | None = None
        while True:
            try:
                return await self._next(self._open_at(target))
            except Overloaded:
                raise
            except NotDelivered:  # nothing was executed
                deadline = deadline or calls.deadline(self._timeout_s)
                moved_to = await elsewhere(self._dialer, name, target, deadline)
                if moved_to is None:
                    raise
                target = moved_to

    def _open_at(self, target: ProcessId) -> Inbox:
        open_stream = self._dialer.calls.open_stream
        self._inbox = open_stream(target, self._method.name, self._arguments, self._keywords, self._channel)
        return self._inbox

    async def _next(self, inbox: Inbox) -> Raw:
        while not inbox.arrived:
            if inbox.outcome is not None:
                raise error_of(inbox.outcome)
            await self._arrival(inbox)
        item = inbox.arrived.popleft()
        self._dialer.calls.taken(inbox)
        return item

    async def _arrival(self, inbox: Inbox) -> None:
        if inbox.wake is not None:
            message = f"two tasks read the same stream of {self._method.spec.where}"
            raise RuntimeError(message)
        inbox.wake = asyncio.get_running_loop().create_future()
        try:
            await inbox.wake
        finally:
            inbox.wake = None

    def _leave(self) -> None:
        self._over = True
        if self._inbox is not None:
            self._dialer.calls.leave_stream(self._inbox)
