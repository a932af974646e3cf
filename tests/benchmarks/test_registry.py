"""The registry benchmark measures what it says, with so few names that its figures mean nothing."""

from __future__ import annotations

import pytest
from benchmarks.registry.__main__ import measure


@pytest.mark.timeout(60)
async def test_the_registry_benchmark_runs() -> None:
    """Every figure is there, and none is nothing."""
    figures = await measure(per_node=300, one_by_one=50)
    assert figures.keys() >= {
        "n",
        "register_per_s",
        "visible_p99_ms",
        "lookups_per_s",
        "bytes_per_name",
        "newcomer_s",
        "purge_s",
    }
    assert figures["n"] == 300
    assert all(figures[key] > 0 for key in figures.keys() - {"bytes_per_name"})
