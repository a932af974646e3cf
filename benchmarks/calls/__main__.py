"""Measure calls of all systems in turns, and print, save and compare the medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.calls.measuring import Plan
from benchmarks.calls.running import run_once
from benchmarks.calls.systems import SYSTEMS, System

RESULTS = Path(__file__).parents[1] / "results" / "calls.json"
KEYS = ("p50_us", "p99_us", "calls_per_s_16", "calls_per_s_256")
QUICK = Plan(warm_up_s=0.2, sequential_s=0.4, concurrent_s=0.7, callers=(256,))
FULL = Plan(warm_up_s=0.5, sequential_s=1.5, concurrent_s=2.0)

console = Console(stderr=False)


def main() -> int:
    """Run all rounds; the last line printed is one JSON object."""
    quick = os.environ.get("QUICK") == "1"
    plan, rounds = (QUICK, 3) if quick else (FULL, 5)
    systems = _present([system for system in SYSTEMS if system.starts_fast or not quick])
    had_epmd = _epmd_runs()
    figures: dict[str, list[dict[str, Any]]] = {system.name: [] for system in systems}
    for number in range(rounds):
        for system in systems if number % 2 == 0 else reversed(systems):
            console.print(f"round {number + 1} of {rounds}: {system.name}", style="dim")
            try:
                figures[system.name].append(run_once(system, plan))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                console.print(f"{system.name} failed: {error}", style="red", markup=False)
    if not had_epmd and _epmd_runs():
        subprocess.run(["epmd", "-kill"], capture_output=True, check=False)  # noqa: S607 - started by our nodes
    medians = {name: _medians(rows) for name, rows in figures.items() if rows}
    result = _result(medians)
    _save(result, figures, quick=quick)
    _show(medians)
    print(json.dumps(result))
    return 0 if "p50_us" in result else 1


def _present(systems: list[System]) -> list[System]:
    for system in systems:
        if missing := system.missing():
            console.print(f"SKIPPED {system.name}: {missing}", style="yellow")
    return [system for system in systems if not system.missing()]


def _medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows if key in row) for key in KEYS if key in rows[0]}


def _result(medians: dict[str, dict[str, float]]) -> dict[str, Any]:
    ours = medians.get("foundation", {})
    peers = {name: row for name, row in medians.items() if name != "foundation"}
    ratios = {
        name: {key: round(ours[key] / row[key], 3) for key in KEYS if key in ours and row.get(key)}
        for name, row in peers.items()
    }
    routed = medians.get("foundation_routed", {})
    against = {
        name: {key: round(routed[key] / peers[name][key], 3) for key in KEYS if key in routed and peers[name].get(key)}
        for name in ("erlang", "zenoh", "zenoh_asyncio")
        if name in peers and routed
    }
    return ours | {"peers": peers, "ratios": ratios, "routed_ratios": against}


def _save(result: dict[str, Any], figures: dict[str, list[dict[str, Any]]], *, quick: bool) -> None:
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "quick": quick} | result | {"rounds": figures}, indent=1) + "\n")


def _show(medians: dict[str, dict[str, float]]) -> None:
    table = Table(title="calls between two OS processes on loopback, medians")
    for heading in ("system", "p50 us", "p99 us", "calls/s, 16 callers", "calls/s, 256 callers"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for name, row in medians.items():
        cells = [f"{row[key]:,.0f}" if key in row else "" for key in KEYS]
        table.add_row(name, *cells)
    console.print(table)


def _epmd_runs() -> bool:
    try:
        return subprocess.run(["epmd", "-names"], capture_output=True, check=False).returncode == 0  # noqa: S607
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
