"""One process at work: its instance, its mailbox and the task that handles one message at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import Context

import msgspec
from msgspec import Raw

from foundation.core.clock import Clock
from foundation.core.context import NO_CONTEXT, call_context
from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import FoundationError, NotDelivered, Overloaded
from foundation.processes.catalog import wire_name_of
from foundation.processes.ended import Ended, Ending, EndReason
from foundation.processes.faults import crash
from foundation.processes.interface.binding import Binding, BoundMethod
from foundation.processes.messages import NOTHING, Cast, Forward, Hop, Message
from foundation.processes.offloading.workers import Bench, Workers, current_bench
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process, end_timers, tell_of_end, timers_begun
from foundation.processes.serving.asides import Asides
from foundation.processes.serving.handling import Handler
from foundation.processes.serving.mailbox import Mailbox
from foundation.processes.serving.requests import Hook, Request, Requests

logger = logging.getLogger(__name__)

_FEW = 16
"""Messages that may wait as views of the batch they came in; more are copied out, so that the batch can go."""


class ProcessInfo(msgspec.Struct, frozen=True):
    """What is known about a running process from outside."""

    process_id: ProcessId
    wire_name: str
    name: str | None
    mailbox_length: int
    handled: int
    """Messages that it has begun to handle."""

    started_at: float
    """Seconds since 1970, on the clock of its node."""


class Running:
    """Run one process until it is told to stop."""

    forward: Forward | None = None
    """Where casts go that wait when it ends, because it goes on at another node."""

    _is_alone = False
    """Whether what would run beside the mailbox has to wait in it."""

    _has_run_out = False
    """Whether the time is over that it had to stop."""

    def __init__(
        self,
        process_id: ProcessId,
        name: str | None,
        binding: Binding,
        requests: Requests,
        options: ProcessOptions,
        clock: Clock,
    ) -> None:
        self.process_id = process_id
        self.name = name
        self.binding = binding
        self.mailbox: Mailbox[Request] = Mailbox(options.mailbox_capacity, options.mailbox_overflow_bytes)
        # None: it is never cancelled, however long it takes to stop.
        self.stop_timeout_s: float | None = getattr(binding.cls, "__stop_timeout_s__", options.stop_timeout_s)
        self.label = f"{binding.cls.__name__} {name or process_id}"
        self._requests = requests
        self._options = options
        self._clock = clock
        self._started_at = clock.wall()
        self._handled = 0
        self._asides = Asides(self.label, requests, self._aside_over)
        self._hold_above = max(options.mailbox_capacity // 2, _FEW)
        self._held: set[NodeId] = set()
        """Nodes that were asked to send nothing."""
        self._ending: Ending | None = None  # until it is known how it comes to its end
        self._watchers: dict[NodeId, Request] = {}
        """What waits for its end, one of each node."""
        self._interrupted = False
        self._instance: Process
        self._handler: Handler
        self._bench: Bench
        self._context = Context()
        self._task: asyncio.Task[None]
        self._ready: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def info(self) -> ProcessInfo:
        """Describe the process."""
        wire_name = wire_name_of(self.binding.cls)
        return ProcessInfo(self.process_id, wire_name, self.name, len(self.mailbox), self._handled, self._started_at)

    def launch(
        self,
        instance: Process,
        scope: TaskScope,
        workers: Workers,
        ended: Callable[[Running], None],
        state: bytes | None = None,
    ) -> None:
        """Run `started`, then handle messages; ``ended`` is called at the very end.

        With a ``state``, which are encoded arguments, `restore` comes before all that.
        """
        self._instance = instance
        hop = Hop(self.process_id, self.label)
        self._handler = Handler(instance, self.binding, self._requests, hop, self._clock, self._options.turn_messages)
        # An empty context: what the caller has in context variables must not depend on whether it is near or far.
        self._bench = Bench(workers)
        self._context.run(current_bench.set, self._bench)
        self._task = scope.start(self._run(state), self.label, context=self._context.copy())
        self._task.add_done_callback(lambda _: self._over(ended))

    async def until_ready(self) -> None:
        """Wait until `started` is through, and raise what it raised; who is cancelled meanwhile cancels the process."""
        if self._ready.done():
            error = self._ready.result()
        else:
            try:
                error = await asyncio.shield(self._ready)
            except asyncio.CancelledError:
                if self._ready.done():  # at this very moment: what `started` has opened, `stopping` is to close
                    self.close("its start was cancelled", EndReason.STOPPED)
                else:
                    self._task.cancel()
                raise
        if error is not None:
            raise error

    def close(self, reason: str, kind: EndReason) -> None:
        """Take no more messages, and refuse what waits: the first part of :meth:`stop`."""
        if self._ending is None:
            self._ending = Ending(kind, reason)
            tell_of_end(self._instance)
        self._refuse_waiting()

    async def stop(self, reason: str, kind: EndReason = EndReason.STOPPED) -> None:
        """Refuse what waits; the current message and `stopping` have a limited time to finish."""
        self.close(reason, kind)
        if self._task is asyncio.current_task():
            return
        if self.stop_timeout_s is not None:
            limit = asyncio.get_running_loop().call_later(self.stop_timeout_s, self._run_out)
            self._task.add_done_callback(lambda _: limit.cancel())
        await asyncio.wait({self._task})

    def accept(self, request: Request) -> FoundationError | None:
        """Take a message; the result says why it was not taken."""
        if self.mailbox.closed:
            return NotDelivered(f"{self.label} is stopping")
        method = request.method
        if method is not None and self.takes_aside(method):
            if len(self._asides) >= self._options.aside_capacity:
                return Overloaded(f"{self.label} runs {len(self._asides)} streams and concurrent calls already")
            self._run_aside(request, stream=method.stream)
        elif not self.mailbox.put(request):
            return Overloaded(f"the mailbox of {self.label} is full ({len(self.mailbox)} messages)")
        elif len(self.mailbox) > _FEW:
            request.body = request.body.copy()
            if len(self.mailbox) > self._hold_above and request.source not in self._held:
                self._held.add(request.source)
                self._requests.press(request.source, self.process_id.serial, hold=True)
        return None

    def takes_aside(self, method: BoundMethod) -> bool:
        """Tell whether a method would be run beside the mailbox at the moment."""
        return method.aside and self._ready.done() and not self._is_alone

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Have nothing run beside the message that is handled: what does is ended, and what comes waits."""
        self._is_alone, self._handler.fate = True, "was to be moved"
        try:
            await self._asides.end(self.stop_timeout_s)
            yield
        finally:
            self._is_alone, self._handler.fate = False, "was stopped"

    def watch(self, request: Request) -> bool:
        """Answer a request when the process ends; False when the node watches it already."""
        node = request.source
        if node in self._watchers:
            return False
        self._watchers[node] = request
        request.interrupt = lambda: self._watchers.pop(node, None)
        return True

    def tell(self, hook: Hook) -> bool:
        """Have something done between two messages, if the process still takes any."""
        return self.mailbox.push(Request(self.process_id.node, 0, None, NOTHING, hook=hook))

    def ended(self) -> Ended:
        """Say how it ended, as its monitors are told."""
        ending = self._ending or Ending(EndReason.STOPPED)
        return Ended(self.process_id.node, self.process_id, ending.reason, ending.text, ending.error_type)

    def _run_aside(self, request: Request, *, stream: bool) -> None:
        self._handled += 1
        work = self._handler.stream(request) if stream else self._handler.perform(request)
        self._asides.start(work, request, self._context.copy())

    def _aside_over(self, request: Request, aside: asyncio.Task[None]) -> None:
        # This answers only where the task was cancelled before it began: elsewhere the request is answered already.
        self._refuse(request)
        if not aside.cancelled() and (error := aside.exception()) is not None:  # a ProcessCrash: no other comes here
            self._ending = crash(error)
            self._bench.is_over = True
            self._task.cancel()

    def _refuse(self, request: Request) -> None:
        self._requests.refuse(request, NotDelivered(f"{self.label} stopped before it came to this message"))

    def _refuse_waiting(self) -> None:
        for request in self.mailbox.close():
            if self.forward is not None and (frame := _posted(request, self.process_id.serial)) is not None:
                self.forward(frame)
            else:
                self._refuse(request)
        self._go_on()

    def _go_on(self) -> None:
        held, self._held = self._held, set()
        for node in held:
            self._requests.press(node, self.process_id.serial, hold=False)

    def _run_out(self) -> None:
        text = f"did not stop within {self.stop_timeout_s:.1f} s and is cancelled"
        logger.warning("%s %s", self.label, text)
        self._ending = crash(TimeoutError(text))
        self._has_run_out = True
        self._bench.is_over = True
        self._task.cancel()

    def _over(self, ended: Callable[[Running], None]) -> None:
        end_timers(self._instance)
        self._refuse_waiting()
        if not self._ready.done():
            self._ready.set_result(NotDelivered(f"{self.label} was stopped while it started"))
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            self._ending = crash(error)
        ending = self._ending or Ending(EndReason.STOPPED)
        ended(self)
        watchers, self._watchers = self._watchers, {}
        for request in watchers.values():
            self._requests.reply(request, ending)

    async def _begin(self, state: bytes | None) -> None:
        if state is not None:
            args, _ = self.binding.methods["restore"].signature.decode(Raw(state), None)
            await getattr(self._instance, "restore")(*args)  # noqa: B009 - not every class has one
        await self._instance.started()
        timers_begun(self._instance)

    async def _run(self, state: bytes | None) -> None:
        try:
            error = await self._hook(self._begin(state))
            if not self._ready.done():
                self._ready.set_result(error)
            if error is not None:
                self._ending = crash(error)
            else:
                await self._work()
                await self._asides.close(self.stop_timeout_s)
                call_context.set(NO_CONTEXT)
                error = await self._hook(self._instance.stopping(self._ending.text if self._ending else ""))
                if error is not None:
                    self._ending = crash(error)
                    logger.error("%s failed in `stopping`", self.label, exc_info=error)
        finally:
            await self._asides.close(0.0 if self._has_run_out else self.stop_timeout_s)

    async def _hook(self, hook: Awaitable[None]) -> Exception | None:
        try:
            await hook
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - who starts or stops the process is told
            return error
        except BaseException as error:
            if self._task.cancelling():
                raise
            message = f"{self.label} raised {type(error).__name__}"
            wrapped = RuntimeError(message)
            wrapped.__cause__ = error
            return wrapped
        return None

    async def _work(self) -> None:
        mailbox = self.mailbox
        most = self._options.turn_messages
        in_a_row = 0
        while True:
            if mailbox.waiting and in_a_row < most:
                in_a_row += 1
                request: Request | None = mailbox.waiting.popleft()
            else:
                if mailbox.waiting:
                    await asyncio.sleep(0)
                in_a_row = 0
                request = await mailbox.get()
            if request is None:
                return
            if self._held and len(mailbox) < self._hold_above // 2:
                self._go_on()
            if request.cancelled:
                continue
            if request.method is not None and request.method.aside:  # it came before `started` was through
                self._run_aside(request, stream=request.method.stream)
            else:
                await self._handle(request)

    async def _handle(self, request: Request) -> None:
        self._handled += 1
        request.interrupt = self._interrupt
        await self._handler.perform(request)
        request.interrupt = None
        if self._interrupted:
            self._interrupted = False
            self._task.uncancel()
        if self._task.cancelling():  # by `stop`, and the handler kept that to itself
            raise asyncio.CancelledError

    def _interrupt(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            self._task.cancel()


def _posted(request: Request, serial: int) -> Cast | Message | None:
    """Return the frame that nobody waits for as it came; None for calls and hooks."""
    if request.number or request.hook is not None:
        return None
    if request.method is None:
        return Message(serial, request.kind, request.body)
    return Cast(serial, request.method.name, request.body, request.keywords)
