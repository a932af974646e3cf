"""Restart types, strategies, the sliding period and the pace of restarts, decided from data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.backoff import Backoff
from foundation.processes import EndReason
from foundation.processes.supervision.restarting import (
    Intensity,
    Pace,
    Restart,
    Strategy,
    going_down,
    wants_restart,
)

CHILDREN = st.lists(st.text(max_size=3), min_size=1, max_size=8, unique=True)
STRATEGIES: list[Strategy] = ["one_for_one", "one_for_all", "rest_for_one"]
ABNORMAL = [EndReason.CRASHED, EndReason.LINKED, EndReason.LOST_NAME, EndReason.NO_SUCH_PROCESS, EndReason.NODE_DOWN]


@pytest.mark.parametrize(
    ("restart", "in_order", "abnormal"),
    [("permanent", True, True), ("transient", False, True), ("temporary", False, False)],
)
def test_the_restart_type_says_which_ends_count(restart: Restart, in_order: bool, abnormal: bool) -> None:
    """Permanent: every end; transient: every one that is not in order; temporary: none; and none when the node goes."""
    assert wants_restart(restart, EndReason.STOPPED) is in_order
    assert {wants_restart(restart, reason) for reason in ABNORMAL} == {abnormal}
    assert not wants_restart(restart, EndReason.NODE_LEFT)


def test_who_goes_down_with_whom() -> None:
    """Nobody, all, or those that were started later."""
    children = ["a", "b", "c", "d"]
    assert going_down("one_for_one", children, "b") == ["b"]
    assert going_down("one_for_all", children, "b") == children
    assert going_down("rest_for_one", children, "b") == ["b", "c", "d"]


@given(CHILDREN, st.sampled_from(STRATEGIES), st.data())
def test_a_group_has_the_order_of_the_start(children: list[str], strategy: Strategy, data: st.DataObject) -> None:
    """Whoever fails is in its group, which is a part of the children in their order."""
    failed = data.draw(st.sampled_from(children))
    group = going_down(strategy, children, failed)
    assert failed in group
    assert group == [child for child in children if child in group]


@given(
    st.lists(st.floats(0, 20), max_size=40).map(sorted),
    st.integers(0, 5),
    st.floats(0.1, 10),
)
def test_the_intensity_is_that_of_the_last_period(times: list[float], most: int, within_s: float) -> None:
    """It is exceeded exactly when more restarts than allowed lie within the period that ends with the latest."""
    intensity = Intensity(most, within_s)
    for number, now in enumerate(times):
        recent = [time for time in times[: number + 1] if now - time <= within_s]
        assert intensity.exceeded(now) is (len(recent) > most)


def test_restarts_come_at_once_and_then_later_and_later() -> None:
    """The first comes at once, the next after growing delays, and at once again after the child ran stably."""
    pace = Pace(Backoff(first_s=1, most_s=5, jitter=0), stable_s=10)
    assert [pace.delay_s(0.1, 0.5) for _ in range(6)] == [0, 1, 2, 4, 5, 5]
    assert pace.delay_s(9.9, 0.5) == 5
    assert [pace.delay_s(10, 0.5), pace.delay_s(None, 0.5)] == [0, 1]


def test_a_failed_start_is_not_tried_at_once() -> None:
    """Also where it is the first thing that went wrong with a child, which was stopped with its group."""
    pace = Pace(Backoff(first_s=1, most_s=5, jitter=0), stable_s=10)
    assert [pace.delay_s(None, 0.5) for _ in range(3)] == [1, 2, 4]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1))))
def test_no_delay_is_longer_than_the_longest(ends: list[tuple[float, float]]) -> None:
    """Whatever chance adds, and however often a child ends."""
    pace = Pace(Backoff(first_s=0.1, most_s=10), stable_s=5)
    assert all(0 <= pace.delay_s(ran_s, chance) <= 10 for ran_s, chance in ends)
