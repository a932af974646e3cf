"""Measure distributed children on three nodes, each an OS process: starting, losing a node, leaving, moving."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.failover import on_nodes
from benchmarks.tables import console, show
from foundation.testing import ProcessCluster, ProcessNode

RESULTS = Path(__file__).parents[1] / "results" / "failover.json"
MANY = 20_000
FEW = 2_000
STATEFUL = 1_000
MOVES = 50
STATE_BYTES = 1 << 20
SMALL_STATE_BYTES = 1_000
QUICK = os.environ.get("QUICK") == "1"


async def measure(count: int) -> dict[str, Any]:
    """Start so many children from one node, call them from another, kill the third."""
    async with new_cluster() as cluster:
        first, second, third = cluster.nodes
        figures: dict[str, Any] = {"n": count}
        figures["starts_per_s"] = await starting(first, second, count)
        figures |= await failing_over(first, second, third, count)
    return figures


async def measure_moves(stateful: int) -> dict[str, Any]:
    """Move some children with 1 MB of state, then have a node leave that holds a third of many small ones."""
    async with new_cluster() as cluster:
        first, second, third = cluster.nodes
        await first.run(on_nodes.start, 0, 3 * stateful)
        figures = {"migrate_p50_ms": await moving(first, second)}
        held = await third.run(on_nodes.held)
        await first.run(on_nodes.fill, held, SMALL_STATE_BYTES)
        began = time.monotonic()
        await third.leave()
        figures["leave_s"] = round(time.monotonic() - began, 3)
        figures["left"] = len(held)
        there = [number for node in (first, second) for number in await node.run(on_nodes.held)]
        assert sorted(there) == list(range(3 * stateful)), "a planned leave has lost or doubled children"
    return figures


def new_cluster() -> ProcessCluster:
    """Return three nodes with the default options."""
    return ProcessCluster(3, ["benchmarks.failover.on_nodes"], run_timeout_s=120.0, log_level="ERROR", uvloop=True)


async def starting(first: ProcessNode, second: ProcessNode, count: int) -> int:
    """Start children; each counts once another node got an answer from it. Return starts per second."""
    calling = asyncio.ensure_future(second.run(on_nodes.call_all, list(range(count))))
    began = await first.run(on_nodes.start, 0, count)
    return round(count / (await calling - began))


async def failing_over(first: ProcessNode, second: ProcessNode, third: ProcessNode, count: int) -> dict[str, Any]:
    """Kill a node; the others call its children at that moment, each half of them. Return when they had answers."""
    victims = await third.run(on_nodes.held)
    began = time.monotonic()
    third.kill()
    halves = ((first, victims[::2]), (second, victims[1::2]))
    await asyncio.gather(*(node.run(on_nodes.begin_to_call, some) for node, some in halves))
    answered = await asyncio.gather(*(node.run(on_nodes.answered) for node, _ in halves))
    waits = sorted(at - began for some in answered for at in some)
    there = [number for node in (first, second) for number in await node.run(on_nodes.held)]
    cuts = statistics.quantiles(waits, n=100)
    return {
        "victims": len(victims),
        "back_p50_s": round(cuts[49], 3),
        "back_p99_s": round(cuts[98], 3),
        "back_last_s": round(waits[-1], 3),
        "doubled": len(there) - len(set(there)),
        "lost": count - len(set(there)),
    }


async def moving(first: ProcessNode, second: ProcessNode) -> float:
    """Move children to and fro; return the median of milliseconds until one answers at its new place."""
    here = (await first.run(on_nodes.held))[:MOVES]
    await first.run(on_nodes.fill, here, STATE_BYTES)
    took = await first.run(on_nodes.migrate, here, second.name)
    return round(statistics.median(took) * 1000, 2)


async def main() -> dict[str, Any]:
    """Measure everything; the options are the default ones, and so is the policy: both sides of a cut go on."""
    console.print("3 nodes with default options; policy keep_running; one caller, children of one small class")
    few = await measure(FEW)
    show(f"{FEW:,} children", few)
    many = await measure(MANY)
    show(f"{MANY:,} children", many)
    moves = await measure_moves(STATEFUL)
    show(f"moves with {STATE_BYTES >> 20} MB of state; a leave with {moves.pop('left'):,} children", moves)
    return many | moves | {"few": few}


if __name__ == "__main__":
    result = asyncio.run(main())
    if not QUICK:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
