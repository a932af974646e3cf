"""A node that joins over a slow line takes a large table in pieces, which delay nobody's calls."""

from __future__ import annotations

import asyncio

import pytest

from foundation.testing import HostCluster
from tests.system import on_tables

ROWS = 200_000
BYTES_PER_S = 5_000_000

pytestmark = [
    pytest.mark.skipif(HostCluster.why_not() is not None, reason=str(HostCluster.why_not())),
    pytest.mark.timeout(120),
]


async def test_a_large_table_joins_a_slow_line_without_delaying_calls() -> None:
    """200,000 rows come over 5 MB/s; of the calls meanwhile, 99 in 100 take less than 100 ms."""
    async with HostCluster(2, ["tests.system.on_tables"], run_timeout_s=60.0, join_timeout_s=0.1) as cluster:
        full, newcomer = cluster.nodes
        newcomer.kill()
        await full.run(on_tables.fill, ROWS)
        await cluster.rate(newcomer, BYTES_PER_S)
        await newcomer.start()
        began = asyncio.get_running_loop().time()
        times = sorted(await newcomer.run(on_tables.call_until_held, ROWS))
        took_s = asyncio.get_running_loop().time() - began
        assert await newcomer.run(on_tables.count) > ROWS
    p99 = times[len(times) * 99 // 100]
    assert len(times) > 50
    assert p99 < 0.1, (
        f"{len(times)} calls in {took_s:.1f} s: p50 {times[len(times) // 2]:.4f} s, last {times[-1]:.4f} s"
    )
