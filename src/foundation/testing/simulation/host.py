"""A simulated host: an address, an event loop, and the switches that only a laboratory has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, ParamSpec, TypeVar, cast

from foundation.testing.errors import HostKilledError, SimulationError
from foundation.testing.simulation.loop import SimulatedLoop
from foundation.testing.simulation.network import SimulatedNetwork
from foundation.testing.simulation.numbered import NumberedTask
from foundation.testing.simulation.scheduler import Scheduler
from foundation.testing.simulation.transcript import Transcript

T = TypeVar("T")
P = ParamSpec("P")


class SimulatedTask(Generic[T]):
    """Something that runs at a host; awaiting it, in any loop of the simulation, gives what it returns or raises.

    Whoever is cancelled while awaiting it cancels it, as with a task of asyncio. When the host is killed, those who
    wait get :class:`HostKilledError`.
    """

    def __init__(self, loop: SimulatedLoop, work: Callable[[], Coroutine[Any, Any, T]], name: str) -> None:
        self.name = name
        self.was_awaited = False
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._outcome: tuple[T | None, BaseException | None] | None = None
        self._is_cancelled = False
        self._waiters: list[tuple[SimulatedLoop, asyncio.Future[None]]] = []
        loop.call_soon(self._begin)

    def __await__(self) -> Generator[Any, None, T]:
        self.was_awaited = True
        return self._wait().__await__()

    def done(self) -> bool:
        """Tell whether it has ended, in whatever way."""
        return self._outcome is not None

    def error(self) -> BaseException | None:
        """Return what it raised; None while it runs, or if it raised nothing."""
        return self._outcome[1] if self._outcome else None

    def cancel(self) -> None:
        """Ask it to end; the cancellation reaches it in its host's next turn."""
        self._is_cancelled = True
        if self._task is not None:
            self._loop.call_soon(self._task.cancel)

    def result(self) -> T:
        """Return what it returned, or raise what it raised; only once it is done."""
        if self._outcome is None:
            message = f"{self.name} is not finished"
            raise SimulationError(message)
        value, error = self._outcome
        if error is not None:
            raise error
        return cast("T", value)

    def give_up(self) -> None:
        """Tell whoever waits that the host was killed."""
        if not self.done():
            self._end(None, HostKilledError(f"{self.name} was not finished when {self._loop.name} was killed"))

    async def _wait(self) -> T:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, SimulatedLoop):
            message = "what runs at a simulated host is awaited inside its simulation"
            raise SimulationError(message)
        if self._outcome is None:
            ended: asyncio.Future[None] = loop.create_future()
            self._waiters.append((loop, ended))
            try:
                await ended
            except asyncio.CancelledError:
                self.cancel()
                raise
        return self.result()

    def _begin(self) -> None:
        if self._is_cancelled:
            self._end(None, asyncio.CancelledError())
            return
        self._task = NumberedTask(self._loop.number(), self._run(), loop=self._loop, name=self.name)
        self._task.add_done_callback(self._finished)

    async def _run(self) -> T:
        return await self._work()

    def _finished(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self._end(None, asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._end(None, error)
        else:
            self._end(task.result(), None)

    def _end(self, value: T | None, error: BaseException | None) -> None:
        self._outcome = (value, error)
        for loop, ended in self._waiters:
            loop.call_soon(_set, ended)
        self._waiters.clear()


class SimulatedHost:
    """A machine with one program at a time.

    Its methods belong to the story; code under test that runs at the host knows nothing of it.
    """

    def __init__(
        self, scheduler: Scheduler, network: SimulatedNetwork, transcript: Transcript, name: str, address: str
    ) -> None:
        self.name = name
        self.address = address
        self._scheduler = scheduler
        self._network = network
        self._transcript = transcript
        self._boots = 0
        self._skew_s = 0.0
        self._tasks: list[SimulatedTask[Any]] = []
        self._loops: list[SimulatedLoop] = []
        self.loop = self._boot()

    def __repr__(self) -> str:
        return f"<SimulatedHost {self.name} {self.address}>"

    @property
    def skew_s(self) -> float:
        """Seconds by which the wall clock of the host is ahead of the true time; may be set at any moment."""
        return self._skew_s

    @skew_s.setter
    def skew_s(self, skew_s: float) -> None:
        self._skew_s = self.loop.sources.clock.skew_s = skew_s

    def run(self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> SimulatedTask[T]:
        """Have the host run a coroutine function in its own event loop; returns at once.

        What it raises comes to whoever awaits the task; when nobody does, the story fails with it in the end.
        """
        if self.loop.is_killed:
            message = f"{self.name} was killed and runs nothing until it is restarted"
            raise HostKilledError(message)
        name = getattr(function, "__qualname__", type(function).__name__)
        task = SimulatedTask(self.loop, lambda: function(*args, **kwargs), name)
        self._tasks.append(task)
        return task

    def pause(self) -> None:
        """Let the program stand still, like SIGSTOP; the host's kernel still takes in what the network brings."""
        self._transcript.note(self._scheduler.elapsed_s, self.name, "paused")
        self.loop.pause()
        self._network.engine.ways_changed()

    def resume(self) -> None:
        """Let the program go on; what became due meanwhile happens now."""
        self._transcript.note(self._scheduler.elapsed_s, self.name, "resumed")
        self.loop.resume()
        self._network.engine.ways_changed()

    def kill(self) -> None:
        """End the program, like SIGKILL: nothing of it runs any more, and its connections are reset."""
        self._end("killed", silently=False)

    def crash(self) -> None:
        """End the whole machine: as :meth:`kill`, but nothing answers any more, so nobody is told."""
        self._end("crashed", silently=True)

    def restart(
        self, function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> SimulatedTask[T]:
        """Run a new program at the host; the one that runs is killed first."""
        self.kill()
        self.loop = self._boot()
        return self.run(function, *args, **kwargs)

    def failures(self) -> list[tuple[SimulatedTask[Any], BaseException]]:
        """Give the tasks that failed and that nobody awaited."""
        failed = [(task, task.error()) for task in self._tasks if not task.was_awaited]
        return [(task, error) for task, error in failed if isinstance(error, Exception) and not _is_kill(error)]

    def bury(self) -> None:
        """Clear away all that ran here, once the run is over."""
        for loop in self._loops:
            self._network.unplug(loop, silently=True)  # so that nothing left behind takes its connection for open
            loop.bury()

    def _boot(self) -> SimulatedLoop:
        self._boots += 1
        loop = SimulatedLoop(self._scheduler, self._network, self.name, self.address, self._boots)
        loop.sources.clock.skew_s = self._skew_s
        self._network.plug(loop)
        self._loops.append(loop)
        self._transcript.note(self._scheduler.elapsed_s, self.name, f"started at {self.address}")
        return loop

    def _end(self, how: str, *, silently: bool) -> None:
        if not self.loop.is_killed:
            self._transcript.note(self._scheduler.elapsed_s, self.name, how)
            self.loop.kill()
            self._network.unplug(self.loop, silently=silently)
            for task in self._tasks:
                task.give_up()


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _is_kill(error: BaseException) -> bool:
    return isinstance(error, HostKilledError)
