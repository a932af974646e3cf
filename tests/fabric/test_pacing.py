"""The window of bulk data on a simulated line: it fills the line, and leaves the queue short."""

from __future__ import annotations

import pytest

from foundation.fabric.pacing import LEAST_WINDOW_BYTES, BulkWindow

MB = 1 << 20


def settle(window: BulkWindow, bytes_per_s: float, shortest_s: float) -> float:
    """Let a window find its size on a line; return the seconds of the queue at the end."""
    queue_s = 0.0
    for _ in range(500):
        round_trip_s = max(shortest_s, window.bytes / bytes_per_s)
        queue_s = round_trip_s - shortest_s
        window.observe(round_trip_s, shortest_s)
    return queue_s


@pytest.mark.parametrize("shortest_s", [0.0001, 0.001, 0.02, 0.1])
@pytest.mark.parametrize("bytes_per_s", [5e6, 12.5e6, 125e6])
def test_it_fills_the_line_and_keeps_the_queue_short(bytes_per_s: float, shortest_s: float) -> None:
    """As much as the line holds is under way, as far as the bound allows, and the queue is about the target."""
    window = BulkWindow(16 * MB, 0.015)
    queue_s = settle(window, bytes_per_s, shortest_s)
    assert window.bytes >= min(bytes_per_s * shortest_s, 16 * MB) * 0.99
    assert queue_s <= 0.015 * 1.3


def test_a_line_without_a_queue_gets_the_whole_window() -> None:
    """On a fast line the bound is the window of the session; the pieces grow with it."""
    window = BulkWindow(MB, 0.015)
    settle(window, 1e12, 0.0001)
    assert window.bytes == MB
    assert window.piece_bytes == 128 << 10


def test_it_never_stops() -> None:
    """However long the queue of others is, a little goes on, in small pieces."""
    window = BulkWindow(MB, 0.015)
    for _ in range(100):
        window.observe(3.0, 0.001)
    assert window.bytes == LEAST_WINDOW_BYTES
    assert window.piece_bytes == 16 << 10


def test_clocks_that_disagree_do_no_harm() -> None:
    """A round trip shorter than the shortest is no queue."""
    window = BulkWindow(MB, 0.015)
    window.observe(0.001, 0.002)
    assert window.bytes > LEAST_WINDOW_BYTES
