"""What the demo does: nodes count words, one leaves, one joins, one is killed meanwhile, and every count is checked."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import foundation
from foundation import Cluster, MemberUp
from foundation.cli.child_node import ChildNode
from foundation.cli.failure import CommandFailed
from foundation.cli.outcome import Expect, Outcome, compare, count_alone
from foundation.cli.tally import MeasuredCount, Tally

PARTS = {"demo": "hands out", "demo-1": "stayed", "demo-2": "left", "demo-3": "killed", "demo-4": "joined"}
HANDS_OUT, FIRST, LEAVES, DIES, JOINS = "demo", ("demo-1", "demo-2", "demo-3"), "demo-2", "demo-3", "demo-4"

_START_TIMEOUT_S = 20.0
_CHANGE_TIMEOUT_S = 20.0
_STALL_TIMEOUT_S = 20.0


class Screen(Protocol):
    """Where the course of the demo is shown."""

    def say(self, text: str) -> None:
        """Show that something happened."""

    def progress(self, share: float) -> None:
        """Show how much has been counted, from 0 to 1."""


class Demonstration:
    """One run over ``files``; ``expect`` says what must come out."""

    def __init__(self, files: Sequence[Path], screen: Screen, expect: Expect = count_alone) -> None:
        self._files = files
        self._screen = screen
        self._expect = expect
        self._tally = Tally(sum(file.stat().st_size for file in files), screen.progress)
        self._children: dict[str, ChildNode] = {}
        self._cluster_name = f"demo-{os.getpid()}"
        self._cookie = secrets.token_urlsafe()

    async def run(self) -> Outcome:
        """Do all of it. Whatever happens, no node that was started here is left behind.

        Raises :class:`CommandFailed` when a node dies or a phase takes too long.
        """
        try:
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
                stack.push_async_callback(self._end_nodes)
                return await self._perform(group, stack)
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _perform(self, group: asyncio.TaskGroup, stack: AsyncExitStack) -> Outcome:
        cluster = await self._start(group, stack)
        began = asyncio.get_running_loop().time()
        changing = group.create_task(self._change_nodes(group, cluster))
        stalling = group.create_task(self._watch_progress())
        counts = await MeasuredCount(cluster, [str(file.absolute()) for file in self._files], self._tally).run()
        seconds = asyncio.get_running_loop().time() - began
        stalling.cancel()
        self._tally.all_counted()
        await changing
        self._screen.say("checking every count")
        expected = await asyncio.to_thread(self._expect, self._files)
        await self._end_nodes()
        shares = self._tally.shares(PARTS)
        return Outcome(
            nodes=shares,
            files=len(self._files),
            lines=self._tally.lines,
            words=sum(counts.values()),
            calls=self._tally.calls,
            seconds=seconds,
            p50_ms=self._tally.percentile_ms(50),
            p99_ms=self._tally.percentile_ms(99),
            gap_s=self._tally.gap_s,
            differences=compare(counts, expected),
        )

    async def _start(self, group: asyncio.TaskGroup, stack: AsyncExitStack) -> Cluster:
        self._screen.say(f"starting {', '.join(FIRST)}: each is an OS process, and they find each other by themselves")
        async with _limit(_START_TIMEOUT_S, "the start of the nodes"):
            for name in FIRST:
                await self._start_node(group, name)
            cluster = await stack.enter_async_context(
                foundation.start_cluster(
                    name=HANDS_OUT,
                    cluster_name=self._cluster_name,
                    cookie=self._cookie,
                    host="127.0.0.1",
                    port=0,
                    session_port=0,
                    peers=(),
                    roles=(),
                    config="",
                )
            )
            await asyncio.gather(*(child.ready() for child in self._children.values()))
            await _until_up(cluster, set(FIRST))
        self._screen.say(f"together: {', '.join(member.name for member in cluster.members())}")
        return cluster

    async def _start_node(self, group: asyncio.TaskGroup, name: str) -> None:
        arguments = ["--cluster-name", self._cluster_name, "foundation.examples.wordcount"]
        # The user's own settings are for the user's own nodes: a fixed port, say, suits only one of these.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOUNDATION_") or k == "FOUNDATION_CLUSTER"}
        child = await ChildNode.start(
            name, arguments, kept | {"FOUNDATION_CONFIG": "", "FOUNDATION_COOKIE": self._cookie}
        )
        self._children[name] = child
        group.create_task(child.watch())

    async def _change_nodes(self, group: asyncio.TaskGroup, cluster: Cluster) -> None:
        """Let one node leave and another one join while the others count, and kill one more."""
        await self._tally.third.wait()
        self._screen.say(f"{LEAVES} is told to leave, {JOINS} is started")
        async with _limit(_CHANGE_TIMEOUT_S, "the change of nodes"):
            await self._start_node(group, JOINS)
            await self._children[LEAVES].end()
            self._screen.say(f"{LEAVES} has left")
            await _until_up(cluster, {JOINS})
            self._screen.say(f"{JOINS} has joined")
            self._tally.killed(DIES)
            self._children[DIES].kill()
            self._screen.say(
                f"{DIES} was killed; its counter starts again elsewhere, and what it knew is counted again"
            )
        self._tally.changed.set()

    async def _watch_progress(self) -> None:
        while True:
            before = self._tally.calls
            await asyncio.sleep(_STALL_TIMEOUT_S)
            if self._tally.calls == before:
                message = f"the count stands still: no call was answered in {_STALL_TIMEOUT_S:g} s"
                raise CommandFailed(message)

    async def _end_nodes(self) -> None:
        await asyncio.gather(*(child.end() for child in self._children.values()))


async def _until_up(cluster: Cluster, names: set[str]) -> None:
    missing = set(names)
    async with cluster.events() as events:
        while missing:
            event = await anext(events)
            if isinstance(event, MemberUp):
                missing.discard(event.member.name)


@asynccontextmanager
async def _limit(seconds: float, what: str) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        message = f"{what} took longer than {seconds:g} s"
        raise CommandFailed(message) from None


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
