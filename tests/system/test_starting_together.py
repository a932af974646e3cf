"""Programs that are started at the same instant and do the same, and one that stands still now and then.

By hand with more: ``TOGETHER=20 STARTS=50 PAUSES=20 python -m pytest tests/system/test_starting_together.py``.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from tests.programs import Program, playground
from tests.system.watching import Watcher, watcher

TOGETHER = int(os.environ.get("TOGETHER", "6"))
STARTS = int(os.environ.get("STARTS", "1"))
PAUSES = int(os.environ.get("PAUSES", "1"))
PAUSE_S = 3.0
WITHIN_S = 60.0
WORKERS = 10

SCRIPT = f"""
import asyncio, json, sys
import foundation
from foundation.errors import SpecConflict

class Worker(foundation.Process, wire_name="Worker"):
    def __init__(self, number: int) -> None:
        self.number = number
    async def where(self) -> str:
        return self.process_id.node

async def main():
    async with foundation.start_cluster() as cluster:
        for number in range({WORKERS}):
            await cluster.start_process(Worker, number, name=f"worker/{{number}}", distribute=True)
        async for event in cluster.events():
            if len(cluster.members()) == {TOGETHER}:
                break
        print("together", flush=True)
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(None, sys.stdin.readline):
            here = [process.name for process in await cluster.processes() if process.name]
            seen = [str(cluster.whereis(f"worker/{{number}}")) for number in range({WORKERS})]
            try:
                await cluster.start_process(Worker, -1, name="worker/0", distribute=True)
                conflict = False
            except SpecConflict:
                conflict = True
            print(json.dumps(dict(members=len(cluster.members()), here=here, seen=seen, conflict=conflict)), flush=True)

asyncio.run(main())
"""


async def _facts(program: Program) -> dict[str, Any]:
    await program.enter("tell")
    _, line = await program.line("{")
    facts: dict[str, Any] = msgspec.json.decode(line)
    return facts


async def _settled(programs: list[Program]) -> None:
    """Wait until every worker runs once and all nodes find it there; the heal of clusters that met takes a moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WITHIN_S
    while True:
        told = await asyncio.gather(*map(_facts, programs))
        run = Counter(name for facts in told for name in facts["here"])
        seen = {tuple(facts["seen"]) for facts in told}
        if run == {f"worker/{number}": 1 for number in range(WORKERS)} and len(seen) == 1:
            assert {facts["members"] for facts in told} == {TOGETHER}
            assert all(facts["conflict"] for facts in told)
            return
        assert loop.time() < deadline, f"{run}, seen in {len(seen)} ways"


@pytest.mark.timeout(90 * STARTS)
async def test_programs_started_at_once_are_one_cluster_with_each_child_once() -> None:
    """All of them start the same children; none fails, and there is one process of each. Another spec is refused."""
    for _ in range(STARTS):
        async with playground() as ground, AsyncExitStack() as stack:
            names = [f"node-{number}" for number in range(TOGETHER)]
            programs = await asyncio.gather(*(ground.start(SCRIPT, name, FOUNDATION_NAME=name) for name in names))
            for program in programs:
                await stack.enter_async_context(program)
            await asyncio.gather(*(program.line("together", WITHIN_S) for program in programs))
            await _settled(programs)


@pytest.mark.timeout(30 + 20 * PAUSES)
async def test_a_node_that_stands_still_now_and_then_takes_no_other_down() -> None:
    """It is stopped for 3 s and goes on, again and again: the healthy nodes are never down, for nobody."""
    async with playground() as ground, AsyncExitStack() as stack:
        started: list[Watcher] = []
        for name in ("sick", "one", "other"):
            started.append(await watcher(ground, name))
            await stack.enter_async_context(started[-1].program)
        sick, *healthy = started
        for each in started:
            await each.ready()
        for each in started:
            for _ in range(2):
                await each.event("MemberUp")
        for _ in range(PAUSES):
            sick.program.send(signal.SIGSTOP)
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(PAUSE_S, over.set)
            await over.wait()
            sick.program.send(signal.SIGCONT)
            asyncio.get_running_loop().call_later(PAUSE_S, (again := asyncio.Event()).set)
            await again.wait()
        for each in started:
            down = [line for _, line in each.program.lines if '"MemberDown"' in line]
            assert not [line for line in down if '"name": "sick"' not in line], down
        assert not any(each.saw("MemberDown") for each in healthy)
