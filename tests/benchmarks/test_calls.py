"""The call benchmark measures what it says, on a load so small that its figures mean nothing."""

from __future__ import annotations

import asyncio

import pytest
from benchmarks.calls.measuring import Plan
from benchmarks.calls.running import run_once
from benchmarks.calls.systems import SYSTEMS

TINY = Plan(targets=4, warm_up_s=0.01, sequential_s=0.05, concurrent_s=0.05, callers=(8,))


@pytest.mark.parametrize("name", ["foundation", "foundation_routed", "asyncio_tcp", "zenoh"])
async def test_a_system_is_measured(name: str) -> None:
    """A system that needs nothing but this project ends with figures of the agreed names, on the path it claims."""
    system = next(system for system in SYSTEMS if system.name == name)
    assert system.missing() is None
    figures = await asyncio.to_thread(run_once, system, TINY)
    assert figures["p50_us"] > 0
    assert figures["p99_us"] >= figures["p50_us"]
    assert figures["calls_per_s_8"] > 0
    assert figures.get("path", "zenoh") == ("direct link" if name == "foundation" else "zenoh")
