"""Several nodes in OS processes of their own, started again when they crash: ``foundation node --workers N``.

They end when this program does, however it ends: their standard input is a pipe from it. And it ends when one of them
crashes too often, by the rules of a supervisor, so that whoever looks after this program hears of it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import typer

from foundation.cli.readiness import Readiness
from foundation.core.sources import draw
from foundation.processes import RESTART_BACKOFF, Intensity, Pace

logger = logging.getLogger(__name__)

_FAILED = 1
_BAD_INPUT = 2
_OWN_OPTIONS = {"workers", "max_restarts", "within", "name", "until_eof", "ready_fd"}


def worker_arguments(context: typer.Context) -> list[str]:
    """Return what was typed, as far as it is for each worker."""
    options: list[str] = []
    operands: list[str] = []
    for parameter in context.command.params:
        value: Any = context.params.get(parameter.name or "")
        if parameter.name in _OWN_OPTIONS or not value:
            continue
        if parameter.param_type_name == "argument":
            operands.append(str(value))
        elif value is True:
            options.append(parameter.opts[0])
        else:
            values = value if isinstance(value, list | tuple) else [value]
            options += [text for each in values for text in (parameter.opts[0], str(each))]
    return [*options, "--", *operands]


class Record:
    """What is known of the ends of one worker, and follows from it."""

    def __init__(self, max_restarts: int, within_s: float) -> None:
        self._intensity = Intensity(max_restarts, within_s)
        self._pace = Pace(RESTART_BACKOFF, within_s)
        self._unready = 0
        """How often in a row it has ended before it was ready."""

    def enter(self, now: float, ran_s: float, *, was_ready: bool) -> str | None:
        """Enter an end; return why it is not to be started again, None when it is.

        An end before it was ready counts however long ago the one before was: a slow start must not hide that it fails.
        """
        limit = self._intensity
        self._unready = 0 if was_ready else self._unready + 1
        is_too_often = limit.exceeded(now)
        self.delay_s = self._pace.delay_s(ran_s if was_ready else None, draw())
        """Seconds to wait until it is started again."""
        if self._unready > limit.max_restarts:
            return f"it ended {self._unready} times in a row before it was ready"
        return f"more than {limit.max_restarts} restarts within {limit.within_s:g} s" if is_too_often else None


class Workers:
    """The nodes, and what becomes of them."""

    def __init__(self, names: Sequence[str], arguments: Sequence[str], max_restarts: int, within_s: float) -> None:
        self._names = names
        self._arguments = arguments
        self._max_restarts = max_restarts
        self._within_s = within_s
        self._running: dict[str, Process] = {}
        self._leaving = asyncio.Event()

    async def run(self) -> int:
        """Keep the nodes running until all have ended for good; return the worst of their exit codes.

        When one is not to be started again because it failed too often, all leave, and that is 1 at least.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._keep(name)) for name in self._names]
        return max(task.result() for task in tasks)

    def leave(self) -> None:
        """Let all nodes leave, and start none again."""
        self._leaving.set()
        for process in self._running.values():
            _terminate(process)

    async def _keep(self, name: str) -> int:
        loop = asyncio.get_running_loop()
        record = Record(self._max_restarts, self._within_s)
        while not self._leaving.is_set():
            began = loop.time()
            code, was_ready = await self._run_once(name)
            if self._leaving.is_set():
                return 0 if code == -signal.SIGTERM else abs(code)  # it had not come to handling the signal
            if code in {0, _BAD_INPUT}:  # it would not be otherwise another time
                return code
            why = record.enter(loop.time(), loop.time() - began, was_ready=was_ready)
            if why is not None:
                logger.error("%s is given up, and all workers leave: %s; its exit code was %d", name, why, code)
                self.leave()
                return _FAILED
            logger.warning("%s ended with exit code %d and is started again in %.1f s", name, code, record.delay_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(record.delay_s):
                    await self._leaving.wait()
        return 0

    async def _run_once(self, name: str) -> tuple[int, bool]:
        """Run a node to its end; return its exit code, and whether it was ready at some time."""
        command = (sys.executable, "-m", "foundation", "node", "--name", name, "--until-eof")
        with Readiness() as readiness:
            # A session of its own: Ctrl-C is for this program alone, which then tells its nodes to leave.
            process = await asyncio.create_subprocess_exec(
                *(*command, *readiness.arguments, *self._arguments),
                stdin=PIPE,
                start_new_session=True,
                pass_fds=readiness.descriptors,
            )
            self._running[name] = process
            try:
                if self._leaving.is_set():
                    _terminate(process)
                return await process.wait(), readiness.was_told()
            finally:
                del self._running[name]


def _terminate(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
