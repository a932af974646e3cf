"""Several nodes in OS processes of their own, started again when they crash: ``foundation node --workers N``.

They end when this program does, however it ends: their standard input is a pipe from it.
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

from foundation.core.sources import draw
from foundation.processes import RESTART_BACKOFF, Pace

logger = logging.getLogger(__name__)

_BAD_INPUT = 2
_OWN_OPTIONS = {"workers", "name", "until_eof"}


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


class Workers:
    """The nodes, and what becomes of them."""

    def __init__(self, names: Sequence[str], arguments: Sequence[str]) -> None:
        self._names = names
        self._arguments = arguments
        self._running: dict[str, Process] = {}
        self._leaving = asyncio.Event()

    async def run(self) -> int:
        """Keep the nodes running until all have ended for good; return the worst of their exit codes."""
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
        pace = Pace(RESTART_BACKOFF, stable_s=RESTART_BACKOFF.most_s)
        while not self._leaving.is_set():
            began = loop.time()
            code = await self._run_once(name)
            if self._leaving.is_set():
                return 0 if code == -signal.SIGTERM else abs(code)  # it had not come to handling the signal
            if code in {0, _BAD_INPUT}:  # it would not be otherwise another time
                return code
            delay_s = pace.delay_s(loop.time() - began, draw())
            logger.warning("%s ended with exit code %d and is started again in %.1f s", name, code, delay_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._leaving.wait()
        return 0

    async def _run_once(self, name: str) -> int:
        # A session of its own: Ctrl-C is for this program alone, which then tells its nodes to leave.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "foundation", "node", "--name", name, "--until-eof", *self._arguments),
            stdin=PIPE,
            start_new_session=True,
        )
        self._running[name] = process
        try:
            if self._leaving.is_set():
                _terminate(process)
            return await process.wait()
        finally:
            del self._running[name]


def _terminate(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
