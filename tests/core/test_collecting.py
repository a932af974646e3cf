"""The cyclic collector is told to look at everything seldom, and only where nobody else has a say."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from foundation.core.collecting import THRESHOLDS, collect_rarely


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the thresholds as they were."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_the_defaults_of_python_are_replaced_and_come_back() -> None:
    """What is set is undone."""
    gc.set_threshold(700, 10, 10)
    undo = collect_rarely()
    assert gc.get_threshold() == THRESHOLDS
    undo()
    assert gc.get_threshold() == (700, 10, 10)


def test_what_the_program_has_chosen_stays() -> None:
    """Neither setting nor undoing touches thresholds of the user's."""
    gc.set_threshold(5000, 5, 5)
    undo = collect_rarely()
    assert gc.get_threshold() == (5000, 5, 5)
    undo()
    gc.set_threshold(700, 10, 10)
    undo = collect_rarely()
    gc.set_threshold(1000, 1, 1)
    undo()
    assert gc.get_threshold() == (1000, 1, 1)
