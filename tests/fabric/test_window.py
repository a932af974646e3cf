"""What is under way to a node is bounded, and the window always opens again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foundation.fabric.window import ReceiveWindow, SendWindow

LIMIT = 1000
SIZES = st.integers(1, 400)


@given(st.lists(SIZES, max_size=60), st.data())
def test_the_limit_is_passed_by_one_batch_at_most(sizes: list[int], data: st.DataObject) -> None:
    """Whatever is confirmed when, a sender that asks the window never has more under way than limit and one batch."""
    sender = SendWindow(LIMIT)
    for size in sizes:
        if not sender.is_open:
            sender.confirm(data.draw(st.integers(0, 2 * sender.sent)))
            continue
        sender.send(size)
        assert sender.sent - sender.confirmed < LIMIT + size


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=200))
def test_lost_batches_do_not_shut_the_window(batches: list[tuple[int, bool]]) -> None:
    """As long as any batch of each windowful arrives, the receiver confirms also those that were lost before it."""
    sender, receiver = SendWindow(LIMIT), ReceiveWindow(LIMIT)
    for size, is_lost in [*batches, (1, False)]:
        if not sender.is_open:  # a whole windowful was lost: the link is down, and its return resets
            sender.reset()
        before = sender.sent
        sender.send(size)
        if not is_lost and receiver.receive(before, size):
            sender.confirm(receiver.confirm())
            assert sender.confirmed == sender.sent
            assert sender.is_open


@given(st.integers(0, 5000))
def test_a_full_window_is_always_confirmed(first: int) -> None:
    """With nothing lost, a sender that fills its window is told to go on, from any start of the count."""
    sender, receiver = SendWindow(LIMIT), ReceiveWindow(LIMIT)
    sender.send(first)
    sender.reset()
    for _ in range(100):
        assert sender.is_open
        before = sender.sent
        sender.send(90)
        if receiver.receive(before, 90):
            sender.confirm(receiver.confirm())


def test_windows_of_different_size_do_not_lock_up() -> None:
    """A receiver with a large window confirms early enough for a sender with a small one."""
    sender, receiver = SendWindow(128 << 10), ReceiveWindow(64 << 20)
    for _ in range(1000):
        assert sender.is_open
        before = sender.sent
        sender.send(5000)
        if receiver.receive(before, 5000):
            sender.confirm(receiver.confirm())


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_confirmations_of_nothing_are_harmless(totals: list[int]) -> None:
    """A total that was never sent changes nothing, and the count of what is confirmed never falls."""
    sender = SendWindow(LIMIT)
    sender.send(500)
    for total in totals:
        known = sender.confirmed
        sender.confirm(total)
        assert sender.confirmed == (total if known < total <= 500 else known)
        assert sender.is_open


def test_a_restart_of_the_count_is_followed() -> None:
    """When a sender begins anew, the receiver counts and confirms from there."""
    receiver = ReceiveWindow(LIMIT)
    assert receiver.receive(5000, 100)
    assert receiver.confirm() == 5100
    assert receiver.receive(0, 100)
    assert receiver.confirm() == 100
