"""The benchmark of a flood measures what it says, in a second, so that its figures mean nothing."""

from __future__ import annotations

from benchmarks.flood import measure


async def test_a_flood_is_measured() -> None:
    """Every kind of junk is counted, none is believed, and the other node is still there."""
    figures = await measure(1.0)
    counters = figures["counters"]
    assert min(counters[kind] for kind in ("replayed", "forged", "malformed")) > 100
    assert counters["accepted"] < 20
    assert figures["members_beside"] == 1
    assert figures["flood_core_percent"] > 0
