"""Nodes that come and go leave nothing behind at those that stay."""

from __future__ import annotations

import pytest

from foundation.replication import ReplicationOptions
from tests.simulate.restarts import restart


@pytest.mark.timeout(60)
def test_restarts_leave_nothing_behind() -> None:
    """After many restarts a node holds no more tables, says no more in a comparison, and has no more names."""
    seen = restart(300, replication=ReplicationOptions(retention_s=30))
    for field in ("tables", "forgotten", "digest_bytes", "names"):
        values = [getattr(sample, field) for sample in seen]
        assert max(values[6:]) <= 1.5 * max(values[2:6]), f"{field}: {values}"
    assert seen[-1].names == 0
