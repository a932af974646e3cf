"""One node in an OS process of its own, run after run."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from foundation.cluster import Cluster
from foundation.errors import AlreadyRunningError, NotRunningError
from foundation.testing.cluster import Sighting, TestNode
from foundation.testing.real.child import Child
from foundation.testing.real.lines import encoded

P = ParamSpec("P")
T = TypeVar("T")

_MOST_LINES = 100_000
_END_TIMEOUT_S = 10.0

Begin = Callable[["ProcessNode", deque[str]], Awaitable[Child]]
Until = Callable[[Callable[[], Awaitable[str | None]], str, float], Awaitable[None]]


class ProcessNode:
    """A node of a :class:`ProcessCluster`, which makes it."""

    def __init__(self, name: str, begin: Begin, until: Until, run_timeout_s: float) -> None:
        self._name = name
        self._begin = begin
        self._until = until
        self._run_timeout_s = run_timeout_s
        self._log: deque[str] = deque(maxlen=_MOST_LINES)
        self._child: Child | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.condition}>"

    @property
    def name(self) -> str:
        """The name of the node; it keeps it when it is started again."""
        return self._name

    @property
    def pid(self) -> int:
        """The id of the OS process that runs, or that ran last."""
        return self._last.process.pid

    @property
    def node_id(self) -> str:
        """The id of the node that runs, or that ran last."""
        return self._last.node_id

    @property
    def address(self) -> str:
        """Where others reach the node, ``host:port``."""
        return self._last.address

    @property
    def runs(self) -> bool:
        """Whether there is a process, be it paused."""
        return self._child is not None and self._child.runs

    @property
    def is_paused(self) -> bool:
        """Whether the process was told to stand still."""
        return self.runs and self._last.is_paused

    @property
    def condition(self) -> str:
        """What is known about the process, for people."""
        if self._child is None:
            return "not started"
        if not self._child.runs:
            return f"ended (exit code {self._child.process.returncode})"
        return f"paused (pid {self.pid})" if self.is_paused else f"running (pid {self.pid})"

    @property
    def log(self) -> list[str]:
        """The lines that the node printed in all its runs: its logging, and what your code prints there."""
        return list(self._log)

    @property
    def sightings(self) -> Sequence[Sighting]:
        """What the node has said about others since it was started last, oldest first."""
        return tuple(self._last.sightings)

    async def run(
        self, function: Callable[Concatenate[Cluster, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run an async function of a module on the node, with the node's :class:`Cluster` as its first argument.

        It is found there by its module and name. The other arguments and the result must be values of JSON that
        arrive as they are: a tuple, which would become a list, is a TypeError.

        Raises :class:`RemoteError` with the remote traceback for what it raises, :class:`NodeDown` when the node ends
        meanwhile, :class:`CallTimeout` after the ``run_timeout_s`` of the cluster.
        """
        given = encoded("an argument", {"args": list(args), "kwargs": kwargs})
        result: T = await self._last.ask(self._run_timeout_s, do="run", function=_path_of(function), **given)
        return result

    async def members(self) -> list[tuple[str, str]]:
        """Ask the node who is in: names and statuses, its own first."""
        return [(name, status) for _, name, status in await self.view(self._run_timeout_s)]

    async def view(self, timeout_s: float) -> list[tuple[str, str, str]]:
        """Ask the node who is in: ids, names and statuses, its own first."""
        return [(node, name, status) for node, name, status in await self._last.ask(timeout_s, do="members")]

    async def until_sees(self, other: TestNode, status: str, timeout_s: float = 10.0) -> None:
        """Wait until the latest that this node has said about another one is that it has that status.

        Statuses are those of :class:`foundation.MemberStatus`. Raises :class:`WaitFailed` when the time is over.
        """

        async def look() -> str | None:
            said = [seen.status for seen in self._last.sightings if seen.node_id == other.node_id]
            return None if said and said[-1] == status else f"it said: {', then '.join(said) or 'nothing'}"

        await self._until(look, f"{self.name} sees {other.name} {status}", timeout_s)

    async def until_logged(self, text: str, timeout_s: float = 10.0) -> str:
        """Wait for a line with that text among all that the node has printed, and return it."""

        async def look() -> str | None:
            return None if any(text in line for line in self._log) else "its log, which is below"

        await self._until(look, f"{self.name} prints {text!r}", timeout_s)
        return next(line for line in self._log if text in line)

    def kill(self) -> None:
        """End the process with ``kill -9``."""
        self._running.send(signal.SIGKILL)
        self._last.has_ended.set()

    def pause(self) -> None:
        """Let the process stand still (SIGSTOP)."""
        self._running.send(signal.SIGSTOP)
        self._last.is_paused = True

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._running.send(signal.SIGCONT)
        self._last.is_paused = False

    async def leave(self) -> None:
        """Let the node leave in order (SIGTERM), and wait until its process has ended."""
        child = self._running
        child.send(signal.SIGTERM)
        await child.ended(_END_TIMEOUT_S)

    async def start(self) -> None:
        """Start the node again after :meth:`kill` or :meth:`leave`: a new node with the same name."""
        if self.runs:
            message = f"{self.name} runs already"
            raise AlreadyRunningError(message)
        await self.close()
        self._child = await self._begin(self, self._log)

    async def close(self) -> None:
        """End the process, however it is, and wait for its end."""
        if self._child is not None:
            self._child.end_now()
            await self._child.process.wait()

    def end_now(self) -> None:
        """Kill the process and what it started, waiting for nothing."""
        if self._child is not None:
            self._child.end_now()

    @property
    def _last(self) -> Child:
        if self._child is None:
            message = f"{self.name} was not started: use it inside `async with`"
            raise NotRunningError(message)
        return self._child

    @property
    def _running(self) -> Child:
        if not self._last.runs:
            message = f"{self.name} does not run: {self.condition}"
            raise NotRunningError(message)
        return self._last


def _path_of(function: Callable[..., Any]) -> str:
    module, name = getattr(function, "__module__", "__main__"), getattr(function, "__qualname__", "<nameless>")
    if module == "__main__" or "<" in name:
        message = f"{function!r} cannot be found by its name: take an async function at the top of an importable module"
        raise TypeError(message)
    return f"{module}:{name}"
