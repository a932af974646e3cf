"""The event loop of one simulated node.

Code under test meets it as ``asyncio.get_running_loop()`` and cannot tell it from a real one, as long as it asks for
what is simulated: timers, tasks, futures, executors (run inline), and TCP between simulated hosts.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import Context
from typing import Any, Protocol, TypeVar, TypeVarTuple

from foundation.testing.errors import NotSimulatedError
from foundation.testing.simulation.node_sources import SimulatedClock, SimulatedSources
from foundation.testing.simulation.numbered import NumberedFuture, NumberedTask
from foundation.testing.simulation.scheduler import Scheduler
from foundation.testing.simulation.turns import Job, Lane, TimedJob
from foundation.testing.simulation.unsimulated import refuse_the_rest

logger = logging.getLogger(__name__)

T = TypeVar("T")
ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)
Ts = TypeVarTuple("Ts")

AddressInfo = tuple[int, int, int, str, tuple[str, int]]
_TIMES_TO_CLOSE = 10
"""How often a coroutine that awaits while it is closed is closed again."""


class Wires(Protocol):
    """The network as a loop sees it."""

    @property
    def engine(self) -> object:
        """What carries Zenoh sessions."""
        ...

    async def connect(
        self, loop: SimulatedLoop, factory: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Open a connection from the loop's host."""
        ...

    def listen(
        self, loop: SimulatedLoop, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, backlog: int
    ) -> asyncio.Server:
        """Answer connections at the loop's host."""
        ...

    def look_up(self, loop: SimulatedLoop, host: str | None, port: int, kind: int) -> list[AddressInfo]:
        """Return what ``getaddrinfo`` does."""
        ...


@refuse_the_rest
class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop that has its turns from a scheduler, its network from a simulation, and a host it stands for."""

    def __init__(self, scheduler: Scheduler, wires: Wires, name: str, address: str, boot: int = 1) -> None:
        """``boot`` tells the programs that run at a host one after the other apart: each draws numbers of its own."""
        super().__init__()
        self.set_debug(enabled=False)  # it would look at the real time, and slow the run down
        self.name = name
        self.address = address
        self.sources = SimulatedSources(SimulatedClock(scheduler), scheduler.chance(f"node {name} {boot}"))
        self._scheduler = scheduler
        self._wires = wires
        self._thread = threading.get_ident()
        self._generators: dict[int, weakref.ref[AsyncGenerator[Any, Any]]] = {}
        self._lane = Lane(name, self, (self._generator_began, self._generator_dies))
        self._kept: list[object] = []
        scheduler.admit(self._lane)
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def __repr__(self) -> str:
        return f"<SimulatedLoop {self.name} {self._lane.state()}>"

    @property
    def wires(self) -> Wires:
        """The network that it is plugged into."""
        return self._wires

    @property
    def is_paused(self) -> bool:
        """Tell whether nothing runs here at the moment."""
        return self._lane.is_paused

    @property
    def is_killed(self) -> bool:
        """Tell whether nothing runs here ever again."""
        return self._lane.is_dead

    def number(self) -> int:
        """Return the next number for something that is made here."""
        return self._scheduler.number()

    def pause(self) -> None:
        """Let nothing run here, like SIGSTOP: what becomes due waits."""
        self._scheduler.pause(self._lane)

    def resume(self) -> None:
        """Go on: the clock has moved, and everything that became due meanwhile is ready."""
        self._scheduler.resume(self._lane)

    def kill(self) -> None:
        """Let nothing run here ever again, like SIGKILL; safe to call twice."""
        if self._lane.is_dead:
            return
        self._lane.is_dead = True
        self._scheduler.dismiss(self._lane)
        # Whoever drops the last reference to a task closes its coroutine, and that runs its `finally` blocks.
        self._kept += [*sorted(asyncio.all_tasks(self), key=hash), *self._lane.ready]
        self._lane.ready.clear()

    def bury(self) -> None:
        """Close what a kill left behind, once the run is over; nothing it does has any effect on the simulation."""
        self.kill()
        with self._scheduler.inside(self._lane):
            for kept in self._kept:
                if isinstance(kept, asyncio.Task) and not kept.done():
                    _close(kept.get_coro())
            self._kept.clear()
        self.close()

    # --- what asyncio asks for ---------------------------------------------------------------------------

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._scheduler.now

    def is_running(self) -> bool:
        """Tell whether it is this loop's turn."""
        return asyncio._get_running_loop() is self  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> Job:
        """Make it ready, behind all that is ready here already."""
        job = Job(callback, args, self, context)
        if self._lane.is_dead:
            self._kept.append(job)
        else:
            self._scheduler.ready(self._lane, job)
        return job

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> Job:
        """Do as :meth:`call_soon`; from another thread it raises, as nobody could repeat when that came."""
        if threading.get_ident() != self._thread:
            message = "the simulation has no threads: loop.call_soon_threadsafe() was called from another one"
            raise NotSimulatedError(message)
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> TimedJob:
        """Make it ready when the clock shows ``when``."""
        job = TimedJob(when, callback, args, self, context)
        if not self._lane.is_dead:
            self._scheduler.at(when, job, self._lane)
        return job

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future whose place in sets does not depend on its address."""
        return NumberedFuture(self._scheduler.number(), loop=self)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Call it in this thread, in a turn of its own; it takes no virtual time."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(_call_into, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Do as asyncio does; what is left of a killed node is nobody's concern."""
        if not self._lane.is_dead:
            super().call_exception_handler(context)

    async def shutdown_asyncgens(self) -> None:
        """Close the generators that are not finished, in the order in which they began."""
        for _, reference in sorted(self._generators.items()):
            if (generator := reference()) is not None:
                try:
                    await generator.aclose()
                except Exception as error:  # noqa: BLE001 - as asyncio does: the others are closed too
                    message = f"an error occurred during closing of asynchronous generator {generator!r}"
                    self.call_exception_handler({"message": message, "exception": error, "asyncgen": generator})

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: Callable[[], ProtocolT], host: str = "", port: int = 0, **options: object
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Connect to a simulated host by address or name."""
        _require_plain("create_connection", options)
        return await self._wires.connect(self, protocol_factory, host, port)

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | Sequence[str] | None = None,
        port: int = 0,
        *,
        backlog: int = 100,
        **options: object,
    ) -> asyncio.Server:
        """Listen at this host."""
        _require_plain("create_server", options)
        if host is not None and not isinstance(host, str):
            host = host[0] if len(host) == 1 else ""
        return self._wires.listen(self, protocol_factory, host or "", port or 0, backlog)

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's word
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Find literal addresses and the names of simulated hosts."""
        del family, proto, flags
        name = host.decode() if isinstance(host, bytes) else host
        return self._wires.look_up(self, name, int(port or 0), type)

    # --- inside --------------------------------------------------------------------------------------------

    def _make_task(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **more: object,
    ) -> asyncio.Task[T]:
        del loop, more
        task = NumberedTask(self._scheduler.number(), work, loop=self, name=name, context=context)
        if self._lane.is_dead:
            self._kept.append(task)
            _close(work)
        return task

    def _generator_began(self, generator: AsyncGenerator[Any, Any]) -> None:
        number = self._scheduler.number()
        self._generators[number] = weakref.ref(generator, lambda _: self._generators.pop(number, None))

    def _generator_dies(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._lane.is_dead:
            self.call_soon(self._close_generator, generator)

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        async def close() -> None:
            await generator.aclose()

        NumberedTask(self._scheduler.number(), close(), loop=self)


def _call_into(future: asyncio.Future[T], func: Callable[[*Ts], T], args: tuple[*Ts]) -> None:
    if future.cancelled():
        return
    try:
        result = func(*args)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - as executors do
        future.set_exception(error)
    else:
        future.set_result(result)


def _close(work: object) -> None:
    if asyncio.iscoroutine(work):
        for _ in range(_TIMES_TO_CLOSE):
            with suppress(BaseException):  # it may await while it is closed; that is of no use any more
                work.close()
                return


def _require_plain(method: str, options: dict[str, object]) -> None:
    for name in ("ssl", "sock", "local_addr"):
        if options.get(name):
            message = f"the simulation has no {name}= of loop.{method}()"
            raise NotSimulatedError(message)
