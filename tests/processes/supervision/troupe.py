"""Processes that are supervised in tests, and that write down what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from foundation.cluster import Cluster
from foundation.errors import ProcessCrash, RemoteError
from foundation.processes import Process, Supervisor
from foundation.testing import SimulatedCluster, simulate
from tests.waiting import turns_until


@dataclass
class Diary:
    """What happened to all actors of one test, in order."""

    lines: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Who cannot start."""

    hold: asyncio.Event | None = None
    """Who starts waits for it."""

    def take(self) -> list[str]:
        """Return the lines since this was last called."""
        lines, self.lines = self.lines, []
        return lines


def make_actor(diary: Diary) -> type[ActorFace]:
    """Make a class whose instances write to a diary."""

    class Actor(ActorFace):
        async def started(self) -> None:
            if diary.hold is not None:
                diary.lines.append(f"{self._role} starts")
                await diary.hold.wait()
            if self._role in diary.broken:
                message = f"{self._role} is broken"
                raise LookupError(message)
            diary.lines.append(f"{self._role} up")

        async def stopping(self, reason: str) -> None:
            del reason
            if self._clings:
                await asyncio.Event().wait()
            diary.lines.append(f"{self._role} down")

    return Actor


class ActorFace(Process):
    """Plays a role, counts what it is told, and ends as it is told."""

    def __init__(self, role: str, clings: bool = False) -> None:
        self._role = role
        self._clings = clings
        self._count = 0

    async def add(self, n: int = 1) -> int:
        self._count += n
        return self._count

    async def crash(self) -> None:
        message = f"{self._role} crashed"
        raise ProcessCrash(message)


async def states(supervisor: Supervisor) -> dict[str, str]:
    """Return the state of each child."""
    return {info.id: info.state for info in await supervisor.children()}


async def until(condition: Callable[[], bool], what: str, within_s: float = 100.0) -> None:
    """Wait on the clock of the loop, which is virtual in these tests."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not condition():
        assert loop.time() < deadline, f"not within {within_s} s: {what}"
        await turns_until(loop.time() + 0.01)


async def pause(seconds: float) -> None:
    """Let virtual time pass."""
    await turns_until(asyncio.get_running_loop().time() + seconds)


def on_a_node(story: Callable[[Cluster], Awaitable[None]], seed: int = 0, **options: Any) -> None:
    """Run a story on a simulated node, in virtual time."""

    async def scenario(cluster: SimulatedCluster) -> None:
        try:
            await cluster.nodes[0].run(story)
        except RemoteError as error:
            raise error.__cause__ or error from None

    simulate(scenario, nodes=1, seed=seed, run_timeout_s=1_000, **options)
