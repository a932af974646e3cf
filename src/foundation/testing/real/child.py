"""One run of a node program, seen from the test that started it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout, NodeDown, RemoteError
from foundation.testing.cluster import Sighting
from foundation.testing.errors import WaitFailed
from foundation.testing.real.lines import LONGEST_LINE, line_of

# Not -m, and not PYTHONPATH: it imports from where the test does, and what it starts does not.
_PROGRAM = (
    "import os, sys; sys.path[:] = sys.argv.pop().split(os.pathsep);"
    " from foundation.testing.real.node_program import main; main()"
)


class Child:
    """A program that runs, or has run; ``changed`` is called whenever something was heard of it."""

    def __init__(self, name: str, process: Process, log: MutableSequence[str], changed: Callable[[], None]) -> None:
        self.name = name
        self.process = process
        self.node_id = ""
        self.address = ""
        self.sightings: list[Sighting] = []
        self.is_paused = False
        self.has_ended = asyncio.Event()
        self._log = log
        self._changed = changed
        self._ready = asyncio.Event()
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}

    @classmethod
    async def begin(
        cls,
        name: str,
        prefix: Sequence[str],
        environment: Mapping[str, str],
        log: MutableSequence[str],
        changed: Callable[[], None],
        tasks: TaskScope,
    ) -> Child:
        """Start a program, behind the command ``prefix``; :meth:`set_up` makes a node of it."""
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        process = await asyncio.create_subprocess_exec(
            *prefix,
            sys.executable,
            "-c",
            _PROGRAM,
            paths,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C is for the test alone
        )
        child = cls(name, process, log, changed)
        tasks.start(child._read_answers(), f"read {name}")
        tasks.start(child._read_log(), f"read the log of {name}")
        return child

    @property
    def runs(self) -> bool:
        """Whether nobody has noticed an end of the program yet."""
        return self.process.returncode is None and not self.has_ended.is_set()

    async def set_up(self, setup: Mapping[str, Any], timeout_s: float) -> None:
        """Say what to start, and wait until the node takes part."""
        await self._write(line_of(**setup))
        problem = f"did not start in {timeout_s} s"
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
            if self.node_id:
                return
            problem = "ended before it took part"
        message = f"{self.name} {problem}"
        raise WaitFailed(message)

    async def ask(self, timeout_s: float, **command: Any) -> Any:  # noqa: ANN401 - any value of JSON
        """Return the answer to a command; raise what it failed with as :class:`RemoteError`.

        Raises :class:`NodeDown` when the program ends before it answers, :class:`CallTimeout` when it takes too long.
        """
        if not self.runs:
            raise self._gone()
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._write(line_of(id=number, **command))
                return await future
        except TimeoutError:
            message = f"{self.name} did not answer {command} in {timeout_s} s"
            raise CallTimeout(message) from None
        finally:
            del self._asked[number]

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if there is still somebody to take it."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end_now(self) -> None:
        """Kill the program and what it started, waiting for nothing."""
        if self.process.returncode is not None:  # its id may be another's by now
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def ended(self, timeout_s: float) -> int:
        """Wait until the program has ended and return its exit code."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.has_ended.wait()
                return await self.process.wait()
        except TimeoutError:
            message = f"{self.name} did not end in {timeout_s} s"
            raise WaitFailed(message) from None

    async def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None  # noqa: S101 - a pipe
        with suppress(BrokenPipeError, ConnectionResetError):  # its end is noticed where its answers are read
            self.process.stdin.write(line)
            await self.process.stdin.drain()

    async def _read_answers(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - a pipe
        try:
            async for line in self.process.stdout:
                self._hear(json.loads(line))
                self._changed()
        finally:
            self.has_ended.set()
            self._ready.set()
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(self._gone())
            self._changed()

    def _hear(self, facts: dict[str, Any]) -> None:
        match facts:
            case {"event": "ready", "node_id": str(node_id), "address": str(address)}:
                self.node_id, self.address = node_id, address
                self._ready.set()
            case {"event": "member", "name": str(name), "node_id": str(node_id), "status": str(status)}:
                self.sightings.append(Sighting(asyncio.get_running_loop().time(), name, node_id, status))
            case {"answer": int(number)}:
                future = self._asked.get(number)
                if future is None or future.done():
                    return
                if (error := facts.get("error")) is None:
                    future.set_result(facts["result"])
                else:
                    future.set_exception(_rebuilt(self.name, error))
            case _:
                self._log.append(f"not understood: {facts}")

    async def _read_log(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - a pipe
        async for line in self.process.stderr:
            self._log.append(line.decode(errors="replace").rstrip("\n"))
            self._changed()

    def _gone(self) -> NodeDown:
        return NodeDown(f"{self.name} (pid {self.process.pid}) does not run any more")


def _rebuilt(name: str, error: Mapping[str, str]) -> RemoteError:
    message = f"on {name}: {error['type']}: {error['message']}"
    return RemoteError(message, error_type=error["type"], remote_traceback=error["traceback"])
