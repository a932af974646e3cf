"""Delays grow, stay within their bounds, and are spread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foundation.core.backoff import Backoff

BACKOFFS = st.builds(
    Backoff,
    first_s=st.floats(0.001, 10),
    most_s=st.floats(0.001, 1000),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
)


@given(BACKOFFS, st.integers(-3, 10**9), st.floats(0, 1))
def test_a_delay_is_never_longer_than_the_longest(backoff: Backoff, failures: int, chance: float) -> None:
    """However many failures there were and whatever chance adds, the bound holds and nothing overflows."""
    assert 0 <= backoff.delay_s(failures, chance) <= backoff.most_s


@given(BACKOFFS, st.integers(1, 100), st.floats(0, 1))
def test_a_later_delay_is_not_shorter(backoff: Backoff, failures: int, chance: float) -> None:
    """With the same chance, one more failure never makes the wait shorter."""
    assert backoff.delay_s(failures, chance) <= backoff.delay_s(failures + 1, chance)


def test_delays_double_up_to_the_longest() -> None:
    """Without jitter the delays are the plain powers."""
    backoff = Backoff(first_s=1, most_s=5, factor=2, jitter=0)
    assert [backoff.delay_s(failures, 0.3) for failures in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


def test_chance_spreads_also_the_longest_delay() -> None:
    """Nodes that have failed for long still do not come back at the same instant."""
    backoff = Backoff(first_s=1, most_s=10, jitter=0.2)
    assert backoff.delay_s(50, 0.2) < backoff.delay_s(50, 0.6) < backoff.delay_s(50, 1.0) <= 10
