"""Measure names on three nodes, each an OS process: registering, seeing, finding, fetching all, losing a node."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.registry import on_nodes
from benchmarks.tables import show
from foundation.testing import ProcessCluster, ProcessNode

RESULTS = Path(__file__).parents[1] / "results" / "registry.json"
PER_NODE = 20_000
SEQUENTIAL = 2_000
AT_A_TIME = 64
QUICK = os.environ.get("QUICK") == "1"


async def measure(per_node: int = PER_NODE, one_by_one: int = SEQUENTIAL) -> dict[str, Any]:
    """Run all parts once, one after the other; so many names on each node, many at a time and one by one."""
    cluster = ProcessCluster(4, ["benchmarks.registry.on_nodes"], run_timeout_s=120.0, log_level="WARNING", uvloop=True)
    async with cluster:
        *nodes, newcomer = cluster.nodes
        empty = await newcomer.run(on_nodes.memory)
        newcomer.kill()
        await cluster.until_agreed()
        figures: dict[str, Any] = {"n": per_node}
        figures["sequential_per_s"] = await sequential(nodes, one_by_one)
        names = 3 * one_by_one
        for node in nodes:
            await node.run(on_nodes.watch)
        figures["register_per_s"] = await concurrent(nodes, per_node)
        names += 3 * per_node
        await asyncio.gather(*(node.run(on_nodes.until_count, names) for node in nodes))
        figures |= await visibility(nodes)
        figures["lookups_per_s"] = round(await nodes[0].run(on_nodes.look_up, "node-1", per_node, 10))
        await newcomer.start()
        figures["newcomer_s"] = round(await newcomer.run(on_nodes.holds, names), 3)
        figures["bytes_per_name"] = (await newcomer.run(on_nodes.memory) - empty) // names
        figures["purge_s"] = await purge(nodes, newcomer, names - per_node - one_by_one)
    return figures


async def sequential(nodes: list[ProcessNode], count: int) -> int:
    """Register one name after the other, on one node at a time."""
    rates = []
    for node in nodes:
        began, ended = await node.run(on_nodes.register, f"{node.name}/one", count, 1)
        rates.append(count / (ended - began))
    return round(statistics.median(rates))


async def concurrent(nodes: list[ProcessNode], count: int) -> int:
    """Register on all nodes at once, many at a time on each; return registrations per second in all."""
    spans = await asyncio.gather(*(node.run(on_nodes.register, node.name, count, AT_A_TIME) for node in nodes))
    took_s = max(ended for _, ended in spans) - min(began for began, _ in spans)
    return round(len(nodes) * count / took_s)


async def visibility(nodes: list[ProcessNode]) -> dict[str, float]:
    """Return how long after its registration a name was seen by the other nodes."""
    waits: list[float] = []
    for node in nodes:
        registered = await node.run(on_nodes.registered)
        for other in nodes:
            if other is not node:
                seen = await other.run(on_nodes.seen)
                waits += [max(seen[name] - at, 0.0) for name, at in registered.items() if name in seen]
    cuts = statistics.quantiles(waits, n=100)
    return {"visible_p50_ms": round(cuts[49] * 1000, 2), "visible_p99_ms": round(cuts[98] * 1000, 2)}


async def purge(nodes: list[ProcessNode], newcomer: ProcessNode, left: int) -> float:
    """Kill a node; return how long its names stay visible, until so many are left."""
    waiting = [asyncio.ensure_future(node.run(on_nodes.until_count, left)) for node in (*nodes[:2], newcomer)]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    nodes[2].kill()
    return round(max(await asyncio.gather(*waiting)) - began, 3)


if __name__ == "__main__":
    result = asyncio.run(measure())
    show(f"names: {PER_NODE:,} on each of 3 nodes, {AT_A_TIME} at a time", result)
    if not QUICK:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))
