"""The command line as a user starts it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.programs import LINE_TIMEOUT_S, Playground, Program, playground


class Commands:
    """Start ``python -m foundation`` in a playground."""

    def __init__(self, ground: Playground) -> None:
        self.ground = ground

    async def start(self, *arguments: str, stdin: int = DEVNULL) -> Program:
        """Start a command; enter what is returned, so that it ends with the test."""
        return await self.python("-m", "foundation", *arguments, stdin=stdin)

    async def python(self, *arguments: str, node: str = "python", stdin: int = DEVNULL) -> Program:
        """Start Python with these arguments; a node that it starts is called ``node``."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=self.ground.folder,
            env=self.ground.environment | {"FOUNDATION_NAME": node},
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
        )
        return Program(" ".join(arguments), process)

    async def end(self, *arguments: str, timeout_s: float = LINE_TIMEOUT_S) -> tuple[int, str]:
        """Run a command to its end; return its exit code and everything it printed."""
        async with await self.start(*arguments) as program:
            return await program.end(timeout_s), program.output


@asynccontextmanager
async def commands() -> AsyncGenerator[Commands]:
    """Give commands that meet no other nodes than those of the same test."""
    async with playground(FOUNDATION_CLUSTER="local", FOUNDATION_COOKIE="tests") as ground:
        yield Commands(ground)
