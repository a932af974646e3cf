"""Cookie, certificates and their authority are replaced on three programs that call each other all the while."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.commands import Commands
from tests.programs import Program, playground
from tests.system.rotating import NAMES

SOURCES = Path(__file__).resolve().parents[2]
RENEWED = "cookie and certificates were read again"
COOKIES = ("old\nnew", "new\nold", "new")
ISSUES = (
    ("--authority", "old", "--believe", "new"),
    ("--authority", "new", "--believe", "old"),
    ("--authority", "new"),
)
GIVEN = {
    "FOUNDATION_CLUSTER": "static",
    "FOUNDATION_FABRIC__CREDENTIALS_POLL_S": "0.2",
    "FOUNDATION_JOIN_TIMEOUT_S": "1",
    "PYTHONPATH": str(SOURCES),
}


class Site:
    """Nodes, and what an administrator does with their files, which all stand in the folder they run in."""

    def __init__(self, commands: Commands, stack: AsyncExitStack) -> None:
        self.nodes: dict[str, Program] = {}
        self._commands = commands
        self._stack = stack

    async def certs(self, *arguments: str) -> None:
        code, output = await self._commands.end("certs", *arguments)
        assert code == 0, output

    def tell_cookie(self, name: str, cookie: str) -> None:
        file = self._commands.ground.folder / f"{name}.cookie"
        file.write_text(cookie)
        file.chmod(0o600)

    async def start(self, name: str) -> Program:
        """Start a node; those after the first know where that is."""
        environment = self._commands.ground.environment
        environment |= {"FOUNDATION_TLS": name, "FOUNDATION_COOKIE_FILE": f"{name}.cookie"}
        node = await self._commands.python("-m", "tests.system.rotating", node=name)
        await self._stack.enter_async_context(node)
        _, line = await node.line("address ", 30)
        environment.setdefault("FOUNDATION_PEERS", line.removeprefix("address "))
        return node

    async def settled(self, name: str) -> None:
        """Wait until that node goes by its new files, and each has called each other often since."""
        await self.nodes[name].line(RENEWED, 30)
        for called in NAMES:
            for caller, node in self.nodes.items():
                for _ in range(3 if caller != called else 0):
                    await node.line(f" calls of {called}", 30)

    @property
    def failures(self) -> list[str]:
        return [line for node in self.nodes.values() for line in node.output.splitlines() if "FAILED" in line]


@asynccontextmanager
async def site() -> AsyncGenerator[Site]:
    """Three nodes that call each other, with the cookie and the authority that are called old."""
    async with playground(**GIVEN) as ground, AsyncExitStack() as stack:
        made = Site(Commands(ground), stack)
        for authority in ("old", "new"):
            await made.certs("init", "--authority", authority, "--name", authority)
        for name in (*NAMES, "late", "stranger"):
            await made.certs("issue", name, "--authority", "old")
            made.tell_cookie(name, "old")
        for name in NAMES:
            made.nodes[name] = await made.start(name)
        yield made


@pytest.mark.timeout(180)
async def test_everything_is_replaced_under_load() -> None:
    """File by file, node by node: no call fails and nobody is down; then only what is new lets anybody in."""
    async with site() as made:
        for cookie in COOKIES:
            for name in NAMES:
                made.tell_cookie(name, cookie)
                await made.settled(name)
        for words in ISSUES:
            for name in NAMES:
                await made.certs("issue", name, "--replace", *words)
                await made.settled(name)
        assert made.failures == []
        stranger = await made.start("stranger")
        assert "its certificate is not accepted" in stranger.output
        await made.certs("issue", "late", "--authority", "new", "--replace")
        made.tell_cookie("late", "new")
        late = await made.start("late")
        for name in NAMES:
            await late.line(f" calls of {name}", 30)
        assert made.failures == []
        counted = {name: node.output.count(" calls of ") * 50 for name, node in made.nodes.items()}
    sys.stdout.write(f"calls: {counted}\n")
