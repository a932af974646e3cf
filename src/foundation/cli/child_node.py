"""A ``foundation node`` as an OS process that ends when this program does, however this program ends."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from foundation.cli.failure import CommandFailed

_LEAVE_TIMEOUT_S = 10.0
_LAST_LINES = 20
_LONGEST_LINE = 1 << 20


class ChildNode:
    """One node that was started here. Its standard input is a pipe from this program: its end makes the node leave."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process
        self._is_to_end = False
        self._ready = asyncio.Event()
        self._log: deque[str] = deque(maxlen=_LAST_LINES)

    @classmethod
    async def start(cls, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> ChildNode:
        """Start a node; it is not ready yet. Run :meth:`watch` in a task, and :meth:`end` in the end."""
        command = [sys.executable, "-m", "foundation", "node", "--name", name, "--json", "--until-eof", *arguments]
        # A session of its own: Ctrl-C is for this program alone, which then tells its nodes to leave.
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
        return cls(name, process)

    async def watch(self) -> None:
        """Read what the node prints until it ends; raise :class:`CommandFailed` unless it was told to."""
        assert self._process.stdout is not None  # noqa: S101 - both are pipes
        assert self._process.stderr is not None  # noqa: S101
        await asyncio.gather(self._read_events(self._process.stdout), self._read_log(self._process.stderr))
        code = await self._process.wait()
        if not self._is_to_end:
            message = f"the node {self.name} (pid {self._process.pid}) ended by itself with exit code {code}"
            raise CommandFailed(message, details=self._log)

    async def ready(self) -> None:
        """Wait until the node has said that it takes part."""
        await self._ready.wait()

    async def end(self) -> None:
        """Let the node leave (SIGTERM); kill it when that takes longer than 10 s."""
        self._is_to_end = True
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_LEAVE_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the node without giving it a chance to say goodbye (SIGKILL)."""
        self._is_to_end = True
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _read_events(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            if json.loads(line)["event"] == "ready":
                self._ready.set()

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self._log.append(line.decode(errors="replace").rstrip())
