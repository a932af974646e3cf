"""The calls that this node handles for others.

Consistency: a request is known by the node that sent it and by the number that this node gave it. Only the same node
can cancel it, and when that node goes down everything that runs for it is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from msgspec import Raw, Struct

from foundation.core.channels import Channel
from foundation.core.codec import Codec
from foundation.core.identity import NodeId
from foundation.errors import FoundationError, NotDelivered, Overloaded
from foundation.processes.faults import handler_fault, interruption, refusal
from foundation.processes.interface.binding import BoundMethod
from foundation.processes.messages import End, Hop, Item, Keywords, Pressure, Reply
from foundation.processes.ports import Wire
from foundation.processes.serving.credit import Credit


class Hook(NamedTuple):
    """Something that a process is to do because its node says so."""

    name: str
    """The method that is run, for logs."""

    run: Callable[[Any], Coroutine[Any, Any, None]]
    """Takes the instance."""


class Request(Struct, eq=False):
    """One message for a process: a call, a cast (number 0), a plain message (no method) or a hook."""

    source: NodeId
    number: int
    method: BoundMethod | None
    body: Raw
    keywords: Keywords = None
    kind: str = ""
    deadline: float | None = None
    chain: tuple[Hop, ...] = ()
    credit: Credit | None = None
    channel: Channel = Channel.EVENTS
    """Where the request came, and where its answers go."""
    cancelled: bool = False
    interrupt: Callable[[], object] | None = None
    """Cancels the handler, once it runs."""
    hook: Hook | None = None


class Requests:
    """Know the open requests, and answer each once."""

    def __init__(self, wire: Wire, codec: Codec) -> None:
        self._wire = wire
        self._codec = codec
        self._open: dict[NodeId, dict[int, Request]] = {}

    def __len__(self) -> int:
        """Count the open requests."""
        return sum(len(requests) for requests in self._open.values())

    def add(self, request: Request) -> bool:
        """Enter a call; False when its number is in use, which no honest node does."""
        requests = self._open.get(request.source)
        if requests is None:
            requests = self._open[request.source] = {}
        if request.number in requests:
            return False
        requests[request.number] = request
        return True

    def cancel(self, source: NodeId, number: int) -> None:
        """Cancel a request on behalf of the node that sent it."""
        request = self._open.get(source, {}).pop(number, None)
        if request is not None:
            _stop(request)

    def grant(self, source: NodeId, number: int, items: int) -> None:
        """Let a stream send more items to the node that reads it."""
        request = self._open.get(source, {}).get(number)
        if request is not None and request.credit is not None:
            request.credit.grant(items)

    def node_down(self, node: NodeId) -> None:
        """Cancel whatever runs for a node that is gone."""
        for request in self._open.pop(node, {}).values():
            _stop(request)

    def reply(self, request: Request, result: Any) -> None:  # noqa: ANN401
        """Answer with a result."""
        if self._remove(request):
            try:
                frame = self._codec.encode(Reply(request.number, Raw(self._codec.encode(result))))
            except Exception as error:  # noqa: BLE001 - a value of the user that cannot travel
                self._send(request, handler_fault(request.number, _unsendable(request, error), self._codec))
            else:
                self._put(request.source, request.number, frame, request.channel)

    def fault(self, request: Request, error: BaseException) -> None:
        """Answer with an error of the handler."""
        if self._remove(request):
            self._send(request, handler_fault(request.number, error, self._codec))

    def interrupted(self, request: Request, text: str) -> None:
        """Answer that the handler was ended in the middle."""
        if self._remove(request):
            self._send(request, interruption(request.number, text))

    def refuse(self, request: Request, error: FoundationError) -> None:
        """Answer that the call was surely not executed."""
        if self._remove(request):
            self._send(request, refusal(request.number, error))

    def refuse_unknown(self, source: NodeId, number: int, error: FoundationError, channel: Channel) -> None:
        """Refuse a call that was never entered."""
        self._put(source, number, self._codec.encode(refusal(number, error)), channel)

    def item(self, request: Request, value: Any) -> None:  # noqa: ANN401
        """Send the next item of a stream; raises TypeError for what cannot travel, Overloaded for what is too large."""
        try:
            frame = self._codec.encode(Item(request.number, Raw(self._codec.encode(value))))
        except Exception as error:
            raise _unsendable(request, error) from error
        self._wire.send(request.source, frame, request.channel)

    def room(self, request: Request) -> bool:
        """Tell whether an answer may be added to what waits for the node that asked."""
        return self._wire.room(request.source, request.channel)

    async def wait_for_room(self, request: Request) -> None:
        """Wait until there is room for an answer; raises NotDelivered when the node goes meanwhile."""
        await self._wire.wait_for_room(request.source, request.channel)

    def end(self, request: Request) -> None:
        """Say that a stream has no more items."""
        if self._remove(request):
            self._send(request, End(request.number))

    def press(self, node: NodeId, serial: int, *, hold: bool) -> None:
        """Ask a node to send a process nothing, or to go on."""
        with suppress(NotDelivered):
            self._wire.send(node, self._codec.encode(Pressure(serial, hold)), Channel.CONTROL)

    def _remove(self, request: Request) -> bool:
        requests = self._open.get(request.source)
        if requests is None:
            return False
        return requests.pop(request.number, None) is request

    def _send(self, request: Request, frame: Any) -> None:  # noqa: ANN401
        self._put(request.source, request.number, self._codec.encode(frame), request.channel)

    def _put(self, node: NodeId, number: int, frame: bytes, channel: Channel) -> None:
        try:
            self._wire.send(node, frame, channel)
        except Overloaded as error:
            # The short truth in place of the answer, so that nobody waits for it until the deadline.
            fault = interruption(number, f"it was handled, but the answer cannot be sent: {error}")
            with suppress(NotDelivered):
                self._wire.send(node, self._codec.encode(fault), Channel.CONTROL)
        except NotDelivered:
            pass  # nobody is there any more to hear the answer


def _stop(request: Request) -> None:
    request.cancelled = True
    if request.interrupt is not None:
        request.interrupt()


def _unsendable(request: Request, error: Exception) -> TypeError:
    where = request.method.spec.where if request.method else "handle_message"
    return TypeError(f"{where} gave a value that cannot travel: {error}")
