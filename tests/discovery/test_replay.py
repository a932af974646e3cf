"""The guard against repeated packets, beside a model that remembers everything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foundation.discovery.replay import WINDOW, ReplayGuard, Verdict

NUMBERS = st.lists(st.integers(1, 3 * WINDOW), max_size=200)


@given(NUMBERS)
def test_window_takes_each_number_once(numbers: list[int]) -> None:
    """A number is taken exactly when it is new and less than a window behind the highest."""
    guard, seen = ReplayGuard(10), set[int]()
    for number in numbers:
        fresh = guard.judge("a", 1, number, 0.0, 0.0) is Verdict.FRESH
        assert fresh == (number not in seen and number > max(seen, default=0) - WINDOW)
        if fresh:
            seen.add(number)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 80), st.floats(0, 100)), max_size=99)
)
def test_no_packet_is_ever_taken_twice(packets: list[tuple[str, int, int, float]]) -> None:
    """Whatever is repeated whenever, with room for one sender only, nothing is taken a second time."""
    guard, taken, now_s = ReplayGuard(10, most_senders=1), set[tuple[str, int, int, float]](), 0.0
    numbers = {packet[:3]: packet for packet in packets}  # an honest sender uses a number once
    for packet in [*packets, *packets]:
        now_s += 3
        honest = numbers[packet[:3]]
        if guard.judge(*honest, now_s) is Verdict.FRESH:
            assert honest not in taken
            taken.add(honest)


def test_times_must_be_near() -> None:
    """A packet counts within the difference, on either side, and one without a proper time never."""
    guard = ReplayGuard(10)
    for sent_s, verdict in ((90.0, Verdict.FRESH), (111.0, Verdict.UNTIMELY), (89.0, Verdict.UNTIMELY)):
        assert guard.judge(f"a{sent_s}", 1, 1, sent_s, 100.0) is verdict
    for nonsense in (float("nan"), float("inf"), float("-inf")):
        assert guard.judge("b", 1, 1, nonsense, 100.0) is Verdict.UNTIMELY


def test_memory_is_bounded() -> None:
    """Where there is no room, newcomers wait until the clocks alone refuse what the oldest sent."""
    guard = ReplayGuard(10, most_senders=2)
    assert [guard.judge(name, 1, 1, 0.0, 0.0) for name in "abc"] == [Verdict.FRESH, Verdict.FRESH, Verdict.UNKNOWN]
    assert guard.judge("c", 1, 2, 20.0, 20.0) is Verdict.UNKNOWN
    assert guard.judge("c", 1, 3, 22.0, 22.0) is Verdict.FRESH
    assert len(guard) == 1


def test_goodbye_ends_a_life() -> None:
    """After a goodbye nothing of that life is taken, not even what was late; the next life is."""
    guard = ReplayGuard(10)
    assert guard.judge("a", 1, 5, 0.0, 0.0) is Verdict.FRESH
    guard.close("a")
    guard.close("nobody")
    assert guard.judge("a", 1, 4, 0.0, 0.0) is Verdict.REPLAYED
    assert guard.judge("a", 1, 6, 0.0, 0.0) is Verdict.REPLAYED
    assert guard.judge("a", 2, 1, 0.0, 0.0) is Verdict.FRESH
    assert guard.judge("a", 1, 9, 0.0, 0.0) is Verdict.REPLAYED
