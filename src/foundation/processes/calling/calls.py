"""The calls and streams that this node waits for.

Consistency: a call is known under a number that only this node gives out; answers count only when they come from the
node that was asked, and only the first one does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from msgspec import Raw, Struct

from foundation.core.channels import Channel
from foundation.core.clock import Clock
from foundation.core.codec import Codec
from foundation.core.context import call_context
from foundation.core.identity import NodeId, ProcessId
from foundation.errors import CallTimeout, NodeDown, NotDelivered, NotRunningError, Overloaded
from foundation.processes.calling.deadlines import Deadlines
from foundation.processes.calling.holds import Holds
from foundation.processes.faults import rebuild
from foundation.processes.messages import Call, Cancel, End, Fault, Item, Keywords, More, Open, Pressure, Reply, Watch
from foundation.processes.ports import Wire

_FEW = 16
"""Items that may wait as views of the batch they came in; more are copied out, so that the batch can go."""

Outcome = Raw | Fault | Exception


class Pending(Struct, eq=False):
    """One call that waits for its answer."""

    number: int
    node: NodeId
    channel: Channel
    answer: asyncio.Future[Outcome]
    bucket: int | None


class Inbox:
    """What has arrived of one stream: items, and at last how it ended."""

    __slots__ = ("arrived", "channel", "node", "number", "outcome", "taken", "wake")

    def __init__(self, number: int, node: NodeId, channel: Channel) -> None:
        self.number = number
        self.node = node
        self.channel = channel
        self.arrived: deque[Raw] = deque()
        self.outcome: Fault | Exception | None = None
        self.wake: asyncio.Future[None] | None = None
        self.taken = 0
        """Items the reader took since it granted more."""

    def ring(self) -> None:
        """Wake the reader."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)


class Calls:
    """Send calls, and match the answers with those who wait."""

    def __init__(self, wire: Wire, codec: Codec, clock: Clock, stream_credit: int, most_waiters: int) -> None:
        self.room = wire.room
        self.holds = Holds(most_waiters)
        self._stream_credit = stream_credit
        self._wire = wire
        self._encode = codec.encode
        self.now = clock.now
        self._last = 0
        self._pending: dict[int, Pending] = {}
        self._streams: dict[int, Inbox] = {}
        self._deadlines = Deadlines(clock, self._expire)
        self._closed = False

    def __len__(self) -> int:
        """Count the calls and streams that are open."""
        return len(self._pending) + len(self._streams)

    def deadline(self, timeout_s: float | None) -> float | None:
        """Return when a call that begins now is to end: after its own limit, or with what it is a part of."""
        now = self.now()
        left_s = call_context.get().timeout_s(timeout_s, now)
        return None if left_s is None else now + left_s

    def begin(
        self,
        target: ProcessId,
        method: str,
        arguments: bytes,
        keywords: Keywords,
        timeout_s: float | None,
        channel: Channel,
    ) -> Pending:
        """Send a call; whoever begins one awaits its answer, and calls :meth:`abandon` when it cannot."""
        self._check_open()
        context = call_context.get()
        if timeout_s is None and context.deadline is None:
            remaining_ms = deadline = None
        else:
            now = self.now()
            left_s = context.timeout_s(timeout_s, now)
            if left_s is None or left_s <= 0:
                message = f"no time was left to call {method} of {target}"
                raise CallTimeout(message)
            deadline = now + left_s
            remaining_ms = int(left_s * 1000) + 1
        self._last = number = self._last + 1
        chain = context.awaited_chain() if context.chain else ()
        frame = Call(number, target.serial, method, remaining_ms, Raw(arguments), keywords, chain)
        self._wire.send(target.node, self._encode(frame), channel)
        bucket = None if deadline is None else self._deadlines.add(number, deadline)
        answer = asyncio.get_running_loop().create_future()
        self._pending[number] = pending = Pending(number, target.node, channel, answer, bucket)
        return pending

    def watch(self, target: ProcessId) -> Pending:
        """Ask for the end of a process; answered when it comes. Who asks calls :meth:`abandon` to watch no longer."""
        self._check_open()
        self._last = number = self._last + 1
        # In the channel of ordinary calls: an end comes after the answers that were sent before it.
        self._wire.send(target.node, self._encode(Watch(number, target.serial)), Channel.EVENTS)
        answer = asyncio.get_running_loop().create_future()
        self._pending[number] = pending = Pending(number, target.node, Channel.EVENTS, answer, None)
        return pending

    def abandon(self, pending: Pending) -> None:
        """Stop waiting, and tell the other side."""
        if self._pop(pending.number) is not None:
            self._cancel(pending.node, pending.number, pending.channel)

    def open_stream(
        self, target: ProcessId, method: str, arguments: bytes, keywords: Keywords, channel: Channel
    ) -> Inbox:
        """Ask for a stream; its reader calls :meth:`leave_stream` when it reads no further."""
        self._check_open()
        self._last = number = self._last + 1
        frame = Open(number, target.serial, method, None, Raw(arguments), keywords, credit=self._stream_credit)
        self._wire.send(target.node, self._encode(frame), channel)
        self._streams[number] = inbox = Inbox(number, target.node, channel)
        return inbox

    def left_s(self, deadline: float | None) -> float | None:
        """Return how many seconds are left until a deadline."""
        return None if deadline is None else deadline - self.now()

    async def wait_to_send(
        self, target: ProcessId, channel: Channel, deadline: float | None, *, aside: bool = False
    ) -> None:
        """Wait until what is sent to a process adds to no queue; :class:`Overloaded` when the deadline comes first.

        What a process handles ``aside`` does not wait for its mailbox.
        """
        if not self.room(target.node, channel):
            try:
                async with asyncio.timeout(self.left_s(deadline)):
                    await self._wire.wait_for_room(target.node, channel)
            except TimeoutError:
                message = f"there was no room for a message to node {target.node[:8]} in time"
                raise Overloaded(message) from None
        if self.holds.held and not aside:
            await self.holds.wait(target, self.left_s(deadline))

    def taken(self, inbox: Inbox) -> None:
        """Note that the reader took an item, and grant more when half of what was granted is used."""
        inbox.taken += 1
        if inbox.taken * 2 >= self._stream_credit and inbox.number in self._streams:
            with suppress(NotDelivered):
                self._wire.send(inbox.node, self._encode(More(inbox.number, inbox.taken)), inbox.channel)
            inbox.taken = 0

    def leave_stream(self, inbox: Inbox) -> None:
        """Read no further, and tell the other side if it may still send."""
        if self._streams.pop(inbox.number, None) is not None:
            self._cancel(inbox.node, inbox.number, inbox.channel)

    def on_reply(self, source: NodeId, frame: Reply) -> None:
        """Hand a result to who waits for it."""
        self._finish(source, frame.call, frame.result)

    def on_fault(self, source: NodeId, frame: Fault) -> None:
        """Hand an error to who waits for a result or for items."""
        inbox = self._streams.get(frame.call)
        if inbox is None:
            self._finish(source, frame.call, frame)
        elif inbox.node == source:
            self._end(inbox, frame)

    def on_item(self, source: NodeId, frame: Item) -> None:
        """Hand an item to the reader of its stream."""
        inbox = self._streams.get(frame.call)
        if inbox is not None and inbox.node == source:
            inbox.arrived.append(frame.value if len(inbox.arrived) < _FEW else frame.value.copy())
            inbox.ring()

    def on_end(self, source: NodeId, frame: End) -> None:
        """End a stream."""
        inbox = self._streams.get(frame.call)
        if inbox is not None and inbox.node == source:
            self._end(inbox, StopAsyncIteration())

    def on_pressure(self, source: NodeId, frame: Pressure) -> None:
        """Keep senders from a process, or let them go on."""
        if frame.hold:
            self.holds.hold(ProcessId(source, frame.serial))
        else:
            self.holds.release(ProcessId(source, frame.serial))

    def node_down(self, node: NodeId) -> None:
        """End everything that waits for that node: nobody knows what it did."""
        self.holds.node_down(node)
        message = f"node {node[:8]} went down before it answered"
        self._end_all(lambda asked: asked == node, NodeDown, message)

    def close(self) -> None:
        """End everything that waits."""
        self._closed = True
        self.holds.close()
        self._end_all(lambda _: True, NotRunningError, "this node was stopped before the answer came")
        self._deadlines.close()

    def _check_open(self) -> None:
        if self._closed:
            message = "this node is stopped and calls nobody"
            raise NotRunningError(message)

    def _end_all(self, concerns: Callable[[NodeId], bool], kind: type[Exception], message: str) -> None:
        for pending in [pending for pending in self._pending.values() if concerns(pending.node)]:
            self._finish(pending.node, pending.number, kind(message))
        for inbox in [inbox for inbox in self._streams.values() if concerns(inbox.node)]:
            self._end(inbox, kind(message))

    def _pop(self, number: int) -> Pending | None:
        pending = self._pending.pop(number, None)
        if pending is not None and pending.bucket is not None:
            self._deadlines.remove(number, pending.bucket)
        return pending

    def _finish(self, source: NodeId, number: int, outcome: Outcome) -> None:
        pending = self._pending.get(number)
        if pending is None or pending.node != source:
            return
        self._pop(number)
        # A result, never an exception: one that nobody retrieves would be logged by the loop.
        if not pending.answer.done():
            pending.answer.set_result(outcome)

    def _end(self, inbox: Inbox, outcome: Fault | Exception) -> None:
        self._streams.pop(inbox.number, None)
        inbox.outcome = outcome
        inbox.ring()

    def _expire(self, number: int) -> None:
        pending = self._pending.get(number)
        if pending is not None:
            self._finish(pending.node, number, CallTimeout("no answer in time"))
            self._cancel(pending.node, number, pending.channel)

    def _cancel(self, node: NodeId, number: int, channel: Channel) -> None:
        # In the channel of the call: it must not get there before it. A node that is gone needs no cancelling.
        with suppress(NotDelivered):
            self._wire.send(node, self._encode(Cancel(number)), channel)


def error_of(outcome: Fault | Exception) -> Exception:
    """Return what to raise for an outcome that is no result."""
    return rebuild(outcome) if isinstance(outcome, Fault) else outcome
