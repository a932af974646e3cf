"""Stamps that never run backwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.hybrid_clock import HybridClock, wall_s
from foundation.errors import ClockDriftError

HOUR_S = 3600.0


@given(st.lists(st.floats(0, HOUR_S), min_size=2), st.integers(0))
def test_stamps_rise_whatever_the_wall_clock_does(walls: list[float], offset: int) -> None:
    """Each is later than the one before, and at or after its wall time."""
    clock = HybridClock(10.0, offset)
    stamps = [clock.stamp(wall) for wall in walls]
    assert stamps == sorted(set(stamps))
    assert all(wall_s(stamp) >= wall - 0.001 for stamp, wall in zip(stamps, walls, strict=True))


def test_a_stamp_is_later_than_what_was_heard() -> None:
    """Also when the own wall clock is behind."""
    early, late = HybridClock(10.0), HybridClock(10.0)
    heard = late.stamp(105.0)
    early.hear(heard, 100.0)
    assert early.stamp(100.0) > heard


def test_a_stamp_from_far_in_the_future_is_refused() -> None:
    """It says so, and changes nothing."""
    wrong, clock = HybridClock(10.0), HybridClock(10.0)
    with pytest.raises(ClockDriftError, match="in the future"):
        clock.hear(wrong.stamp(111.0), 100.0)
    assert wall_s(clock.stamp(100.0)) == 100.0


def test_nodes_that_never_heard_of_each_other_differ() -> None:
    """Their offsets keep stamps of the same millisecond apart."""
    assert HybridClock(10.0, 7).stamp(100.0) != HybridClock(10.0, 8).stamp(100.0)
