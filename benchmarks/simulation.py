"""Measure what a simulated cluster costs: how fast a split of ten minutes is played, and how many nodes can meet.

Each story is played by a program of its own, so that one neither warms up nor burdens the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from foundation.testing.simulation import Simulation
from foundation.testing.simulation.cluster import SimulatedCluster

RESULTS = Path(__file__).parent / "results" / "simulation.json"
SPLIT_S = 600.0
AGREE_WITHIN_S = 120.0

console = Console(stderr=False)


class Stopwatch:
    """What each part of a story took, in real seconds of one core and in turns."""

    def __init__(self, simulation: Simulation) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._simulation = simulation
        self._before = self._read()

    def lap(self, part: str) -> None:
        """Note what passed since the last lap."""
        now = self._read()
        names = ("wall_s", "cpu_s", "virtual_s", "turns")
        self.parts[part] = {
            name: round(after - before, 3) for name, before, after in zip(names, self._before, now, strict=True)
        }
        self._before = now

    def _read(self) -> tuple[float, float, float, int]:
        return time.perf_counter(), time.process_time(), self._simulation.now, self._simulation.turns


def split(nodes: int) -> dict[str, Any]:
    """Have nodes join, be split 60/40 for ten minutes, heal and agree."""
    simulation = Simulation(seed=1)
    cluster = SimulatedCluster(simulation, nodes)
    hosts = [node.host for node in cluster.nodes]
    edge = nodes * 6 // 10
    watch = Stopwatch(simulation)

    async def story() -> None:
        await cluster.start(AGREE_WITHIN_S)
        watch.lap("join")
        simulation.network.partition(hosts[:edge], hosts[edge:])
        await asyncio.sleep(SPLIT_S)
        watch.lap("split")
        simulation.network.heal()
        await cluster.until_agreed(AGREE_WITHIN_S)
        watch.lap("heal")

    simulation.run(story)
    watch.lap("clear away")
    return _figures(nodes, watch, simulation)


def join(nodes: int) -> dict[str, Any]:
    """Have nodes join and agree."""
    simulation = Simulation(seed=1)
    cluster = SimulatedCluster(simulation, nodes)
    watch = Stopwatch(simulation)

    async def story() -> None:
        await cluster.start(AGREE_WITHIN_S)
        watch.lap("join")

    simulation.run(story)
    watch.lap("clear away")
    return _figures(nodes, watch, simulation)


STORIES = {"split": split, "join": join}


def _figures(nodes: int, watch: Stopwatch, simulation: Simulation) -> dict[str, Any]:
    totals = {
        key: round(sum(part[key] for part in watch.parts.values()), 3)
        for key in ("wall_s", "cpu_s", "virtual_s", "turns")
    }
    return {"nodes": nodes, **totals, "peak_rss_mb": _peak_rss_mb(), "digest": simulation.transcript.digest(),
            "parts": watch.parts}  # fmt: skip


def _peak_rss_mb() -> int:
    import resource  # noqa: PLC0415 - no such thing on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10


def main() -> int:
    """Play both stories; the last line printed is one JSON object."""
    if len(sys.argv) > 1:
        logging.disable(logging.CRITICAL)
        name, nodes = sys.argv[1:]
        print(json.dumps(STORIES[name](int(nodes))), flush=True)
        os._exit(0)  # taking down millions of objects one by one is no part of the story
    quick = os.environ.get("QUICK") == "1"
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "split": _play("split", 30 if quick else 100),
        "join": _play("join", 100 if quick else 1000),
    }
    if not quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def _play(story: str, nodes: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.simulation", story, str(nodes)]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    table = Table(title=f"{story}: {nodes} nodes, peak {figures['peak_rss_mb']} MB")
    for column in ("part", "real s", "CPU s", "virtual s", "turns"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for part, row in [*figures["parts"].items(), ("all", figures)]:
        table.add_row(
            part, f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", f"{row['virtual_s']:.2f}", f"{row['turns']:,.0f}"
        )
    console.print(table)
    return figures


if __name__ == "__main__":
    sys.exit(main())
