"""The processes of one node: it starts and stops them, and connects them with the wire.

Consistency: a process is known here from before its constructor runs until its task has ended; its name is free again
from then on. Serials are never used twice, so a message for a process that is gone finds nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import Raw

from foundation.core import sources
from foundation.core.channels import Channel
from foundation.core.clock import Clock
from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import (
    AlreadyRunningError,
    ArgumentError,
    CodecError,
    NoSuchProcessError,
    NotRunningError,
)
from foundation.processes.agent import AGENT_SERIAL, Agent, agent_of, told
from foundation.processes.calling.caller import Caller
from foundation.processes.calling.monitors import Monitors
from foundation.processes.catalog import wire_name_of
from foundation.processes.ended import Ended, EndReason
from foundation.processes.families import Families
from foundation.processes.interface.binding import Binding
from foundation.processes.launch import Launch
from foundation.processes.messages import Forward, Keywords
from foundation.processes.nursery import Custody
from foundation.processes.offloading.workers import Workers
from foundation.processes.options import ProcessOptions
from foundation.processes.ports import Registrar, Wire
from foundation.processes.process import Process, as_process_class, end_timers, take_seat
from foundation.processes.seat import Seat
from foundation.processes.serving.reception import Reception
from foundation.processes.serving.requests import Hook, Requests
from foundation.processes.serving.running import ProcessInfo, Running
from foundation.processes.serving.watchdog import Watchdog, watch, watch_no_longer
from foundation.processes.ties import Ties

logger = logging.getLogger(__name__)

T = TypeVar("T")
_LEFT = EndReason.NODE_LEFT
_FORWARD_S = 10.0
"""How long casts are forwarded that are sent to where a process was."""


class Host(Caller):
    """Run processes on one node; an async context manager. Use it on its own event loop only."""

    def __init__(
        self,
        wire: Wire,
        names: Registrar | None = None,
        options: ProcessOptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(wire, names, options or ProcessOptions(), clock or sources.clock())
        self._scope = TaskScope(f"processes of {wire.node_id[:8]}")
        self.monitors = Monitors(self.calls)
        self.ties = Ties(self.monitors, self)
        self.ended: list[Callable[[int, Ended], object]] = []
        """Called with the serial of each process that has ended, and how, before its monitors are told."""
        self._requests = Requests(wire, self.codec)
        self._workers = Workers(self.options.offload_threads, self.options.offload_processes)
        self._running: dict[int, Running] = {}
        self.families = Families(self._running, self)
        self._reception = Reception(self._running, self.calls, self._requests, self._clock, self.options)
        self._watchdog: Watchdog | None = None
        self.stuck: Callable[[bool], None] = lambda _is_stuck: None
        """Called in another thread when the event loop has stood still for ``stuck_after_s``, and when it goes on."""
        self._last_serial = AGENT_SERIAL
        self._builtin: dict[int, Process] = {AGENT_SERIAL: Agent(self)}
        self._open = False

    async def __aenter__(self) -> Self:
        if self._open:
            message = "this host runs already"
            raise AlreadyRunningError(message)
        self._open, self.families.node_stops = True, False
        if self.options.slow_handler_s is not None:
            self._watchdog = watch(self.options, self.stuck)
        for serial, process in self._builtin.items():
            process_id = ProcessId(self.node_id, serial)
            take_seat(process, Seat(self, process_id, type(process)))
            await self._run(process, process_id, None, self.binding(type(process))).until_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open, self.families.node_stops = False, True
        try:
            async with self._scope, TaskScope("stop processes") as stopping:
                for children in (False, True):  # children are stopped by their parents, in an order that those know
                    tasks = [
                        stopping.start(running.stop("the node stops", _LEFT), running.label)
                        for running in self._all()
                        if children or not self.families.is_child(running.process_id.serial)
                    ]
                    if tasks:
                        await asyncio.wait(tasks)
                for builtin in list(self._running.values()):
                    await builtin.stop("the node stops", _LEFT)
        finally:
            self.calls.close()
            self._reception.close()
            if self._watchdog is not None:
                watch_no_longer(self._watchdog, self.stuck)
                self._watchdog = None
            await self._workers.close()

    @property
    def dropped_frames(self) -> int:
        """Frames from outside that were garbage."""
        return self._reception.dropped_frames

    @property
    def dropped_casts(self) -> int:
        """Casts and plain messages that found no process or no room."""
        return self._reception.dropped_casts

    @property
    def stalls(self) -> int:
        """How often something held the event loop for longer than `slow_handler_s`."""
        return 0 if self._watchdog is None else self._watchdog.stalls

    def receive(self, source: NodeId, batch: bytes | memoryview, channel: Channel = Channel.EVENTS) -> None:
        """Act on a MessagePack array of frames of one channel; never raises, whatever the bytes are."""
        self._reception.receive(source, batch, channel)

    def node_left(self, node: NodeId) -> None:
        """Tell monitors that a node has left; :meth:`node_down` is to follow."""
        self.monitors.node_gone(node, EndReason.NODE_LEFT)

    def node_down(self, node: NodeId) -> None:
        """End what waits for that node with NodeDown, and cancel what runs on its behalf."""
        self.calls.node_down(node)
        self._requests.node_down(node)
        self._reception.node_down(node)

    def build_in(self, serial: int, process: Process) -> None:
        """Have a process run as long as this host, under a serial below that of the agent; before it is started."""
        self._builtin[serial] = process

    async def start(
        self,
        cls: type[T],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        link: ProcessId | None = None,
        custody: Custody | None = None,
    ) -> T:
        """Start a process here and return its reference; raises what its constructor or `started` raises.

        The arguments are checked, copied and converted to their annotations, as if they came from afar.
        """
        arguments, keywords = self._encode_constructor(cls, args, kwargs or {})
        process_id = await self.start_encoded(cls, Raw(arguments), keywords, name, link, custody)
        return self.reference(cls, process_id)

    async def start_on(
        self,
        node: NodeId,
        cls: type[T],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        link: ProcessId | None = None,
    ) -> T:
        """Start a process on another node, whose agent must know the class."""
        if node == self.node_id:
            return await self.start(cls, args, kwargs, name=name, link=link)
        arguments, keywords = self._encode_constructor(cls, args, kwargs or {})
        by_name = {key: bytes(value) for key, value in (keywords or {}).items()}
        process_id = await told(self.agent(node).start(wire_name_of(cls), arguments, by_name, name, link))
        return self.reference(cls, process_id)

    async def start_encoded(
        self,
        cls: type,
        arguments: Raw,
        keywords: Keywords,
        name: str | None,
        link: ProcessId | None = None,
        custody: Custody | None = None,
    ) -> ProcessId:
        """Start a process from encoded arguments."""
        running = await self.begin(cls, arguments, keywords, name, custody)
        await self.until_ready(running)
        if link is not None:
            await self._link(running.process_id, link)
        return running.process_id

    async def begin(
        self,
        cls: type,
        arguments: Raw,
        keywords: Keywords,
        name: str | None,
        custody: Custody | None = None,
        launch: Launch | None = None,
    ) -> Running:
        """Begin to start a process; with a ``launch`` as all nodes want it to run. Waits for nothing but its name."""
        if not self._open:
            message = "this node is stopped and starts no processes"
            raise NotRunningError(message)
        binding = self.binding(cls)
        self._last_serial += 1
        process_id = ProcessId(self.node_id, self._last_serial)
        instance: Process = cls.__new__(cls)  # type: ignore[call-overload]
        seat = Seat(self, process_id, cls, name if launch else None)
        take_seat(instance, seat)
        try:
            args, kwargs = binding.constructor.decode(arguments, keywords)
        except CodecError as error:
            message = f"{cls.__name__}: {error}"
            raise ArgumentError(message) from error
        await self._enroll(process_id.serial, cls, name, launch)
        if launch is not None and launch.timers:
            seat.timers.resume(launch.timers)
        try:
            cls.__init__(instance, *args, **kwargs)  # type: ignore[misc]
            return self._run(instance, process_id, name, binding, custody, launch)
        except BaseException:
            self.names.release(process_id.serial)
            end_timers(instance)
            raise

    async def until_ready(self, running: Running) -> None:
        """Wait until a process that was begun has started; raises what its `started` raises."""
        try:
            await running.until_ready()
        except BaseException:
            self.names.release(running.process_id.serial)
            raise

    async def _enroll(self, serial: int, cls: type, name: str | None, launch: Launch | None) -> None:
        if launch is not None:
            await launch.enroll(serial)
        elif name is not None:
            await self.names.register(name, serial, wire_name_of(cls))

    def tie(self, process_id: ProcessId, other: ProcessId) -> None:
        """Have a process of this node stopped when another one ends otherwise than in order."""
        self.class_of(process_id)
        # The other one is new: when it has ended before this was known, it cannot have been in use.
        self.ties.link(process_id.serial, other, must_run=False)

    async def stop(self, process_id: ProcessId, reason: str = "") -> None:
        """Stop a process, wherever it runs; raises NoSuchProcessError."""
        if process_id.node != self.node_id:
            return await told(self.agent(process_id.node).stop(process_id, reason))
        running = self._running.get(process_id.serial)
        if running is None or process_id.serial <= AGENT_SERIAL:
            message = f"there is no process {process_id}"
            raise NoSuchProcessError(message)
        return await running.stop(reason)

    def processes(self) -> list[ProcessInfo]:
        """Describe the processes that run here, the built-in ones not."""
        return [running.info() for running in self._all()]

    def class_of(self, process_id: ProcessId) -> type:
        """Return the class of a process that runs here; raises NoSuchProcessError."""
        running = self._running.get(process_id.serial)
        if running is None or process_id.node != self.node_id:
            message = f"there is no process {process_id} on this node, or no longer"
            raise NoSuchProcessError(message)
        return running.binding.cls

    @property
    def process_count(self) -> int:
        """How many processes run here, the built-in ones not counted."""
        return max(len(self._running) - len(self._builtin), 0)

    def agent(self, node: NodeId) -> Agent:
        """Return a reference to the agent of a node."""
        return self.reference(Agent, agent_of(node))

    def _all(self) -> list[Running]:
        return [running for serial, running in self._running.items() if serial > AGENT_SERIAL]

    def _run(
        self,
        instance: Process,
        process_id: ProcessId,
        name: str | None,
        binding: Binding,
        custody: Custody | None = None,
        launch: Launch | None = None,
    ) -> Running:
        running = Running(process_id, name, binding, self._requests, self.options, self._clock)
        if custody is not None:
            self.families.adopt(custody, running)
        self._running[process_id.serial] = running
        state = launch.state if launch is not None else None
        running.launch(instance, self._scope, self._workers, self._ended, state)
        return running

    async def _link(self, started: ProcessId, other: ProcessId) -> None:
        """Link a new process with one that runs; who cannot be linked is stopped again."""
        try:
            if other.node == self.node_id:
                self.tie(other, started)
            else:
                await told(self.agent(other.node).link(other, started))
        except BaseException as error:
            if (running := self._running.get(started.serial)) is not None:
                await running.stop(f"it could not be linked with {other}: {error}")
            raise
        if started.serial in self._running:
            self.ties.link(started.serial, other, must_run=True)

    def tell(self, serial: int, hook: Hook) -> bool:
        """Have a process of this node do something between two messages; False when it takes none any more."""
        running = self._running.get(serial)
        return running is not None and running.tell(hook)

    @asynccontextmanager
    async def alone(self, serial: int) -> AsyncGenerator[None]:
        """Have nothing run beside the message that a process of this node handles; see :meth:`Running.alone`."""
        async with self._running[serial].alone():
            yield

    def end(self, serial: int, reason: str, kind: EndReason) -> None:
        """Let a process of this node take no more messages, and end."""
        if (running := self._running.get(serial)) is not None and not self._scope.is_closed:
            running.close(reason, kind)
            self._scope.start(running.stop(reason), f"stop {running.label}")

    def moved(self, serial: int, reason: str, forward: Forward) -> None:
        """Let a process of this node end that goes on at another one: who sends to it without waiting is forwarded.

        It is for a while in which the others hear of it.
        """
        running = self._running.get(serial)
        if running is None:
            return
        running.forward = self._reception.forwards[serial] = forward
        forget = self._reception.forwards.pop
        asyncio.get_running_loop().call_later(_FORWARD_S, forget, serial, None)
        self.end(serial, reason, EndReason.MOVED)

    def _ended(self, running: Running) -> None:
        serial = running.process_id.serial
        self._running.pop(serial, None)
        self.ties.release(serial)
        self.names.release(serial)
        how = running.ended()
        for ended in self.ended:
            ended(serial, how)
        self.families.ended(running)

    def _encode_constructor(self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, Keywords]:
        as_process_class(cls)
        return self.binding(cls).constructor.encode(args, kwargs)
