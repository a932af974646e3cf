"""Programs in OS processes of their own, as a user starts them: their lines are awaited, never slept for."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LINE_TIMEOUT_S = 10.0


class Program:
    """A Python program that runs elsewhere; what it prints is kept with the time at which it came."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.lines: list[tuple[float, str]] = []
        self._read = 0
        self._more = asyncio.Event()
        self._readers = [
            asyncio.ensure_future(self._follow(stream)) for stream in (process.stdout, process.stderr) if stream
        ]

    async def line(self, containing: str, timeout_s: float = LINE_TIMEOUT_S) -> tuple[float, str]:
        """Return the next line with that text (and when it came), reading on from the one returned before."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    while self._read < len(self.lines):
                        self._read += 1
                        if containing in self.lines[self._read - 1][1]:
                            return self.lines[self._read - 1]
                    self._more.clear()
                    await self._more.wait()
        message = f"{self.name} printed no line with {containing!r} in {timeout_s} s; it printed:\n{self.output}"
        raise AssertionError(message)

    async def enter(self, line: str) -> None:
        """Write a line to the program's standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    @property
    def output(self) -> str:
        """Everything printed so far."""
        return "\n".join(line for _, line in self.lines)

    def send(self, number: signal.Signals) -> float:
        """Send a signal and return when."""
        self.process.send_signal(number)
        return time.monotonic()

    async def end(self, timeout_s: float = LINE_TIMEOUT_S) -> int:
        """Wait until the program has ended and return its exit code."""
        try:
            code = await asyncio.wait_for(self.process.wait(), timeout_s)
        except TimeoutError:
            message = f"{self.name} did not end in {timeout_s} s; it printed:\n{self.output}"
            raise AssertionError(message) from None
        await asyncio.gather(*self._readers)
        return code

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.end()

    async def _follow(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.lines.append((time.monotonic(), line.decode(errors="replace").rstrip("\n")))
            self._more.set()


@asynccontextmanager
async def playground(**environment: str) -> AsyncGenerator[Playground]:
    """Give programs a home, a rendezvous folder and a cookie of their own, so that they meet nobody else's nodes."""
    folder = Path(tempfile.mkdtemp(prefix="foundation-test-"))
    try:
        yield Playground(folder, environment)
    finally:
        shutil.rmtree(folder)


class Playground:
    """Where the programs of one test run."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FOUNDATION_")}
        mine = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.environment = kept | mine | {"PYTHONUNBUFFERED": "1"} | dict(environment)

    async def start(
        self, code: str, name: str = "program", namespace: str | None = None, **environment: str
    ) -> Program:
        """Run ``code`` with Python, in the network namespace ``namespace`` if one is given."""
        command = ["ip", "netns", "exec", namespace] if namespace else []
        process = await asyncio.create_subprocess_exec(
            *command,
            sys.executable,
            "-c",
            code,
            env=self.environment | environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return Program(name, process)
