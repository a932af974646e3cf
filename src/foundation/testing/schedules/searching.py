"""Play many schedules, and cut down the one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from foundation.errors import FoundationError
from foundation.testing.schedules.generating import generate
from foundation.testing.schedules.outcome import Outcome
from foundation.testing.schedules.running import play
from foundation.testing.schedules.scenario import Scenario
from foundation.testing.schedules.shrinking import shrink

_SHRINK_S = 30.0


class ScheduleFailed(FoundationError, AssertionError):  # noqa: N818
    """Something did not hold in a run; the message has the steps that it takes, the last events and the seed."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.invariant}: {outcome.text}\n\n{outcome.report()}\n\n{_how_to_replay(outcome)}")
        self.outcome = outcome


def check_schedules(
    make_scenario: Callable[[], Scenario], seeds: Iterable[int] = range(20), *, shrink_s: float = _SHRINK_S
) -> list[Outcome]:
    """Play the schedules of some seeds, and raise :class:`ScheduleFailed` when something does not hold in one.

    ``make_scenario`` makes a scenario for each run. For at most ``shrink_s`` seconds of real time steps are left out of
    a schedule that fails, as long as the same does not hold. Returns what came of each run.
    """
    outcomes: list[Outcome] = []
    for seed in seeds:
        outcome = play_seed(seed, make_scenario)
        if outcome.failed:
            raise ScheduleFailed(shrunk(outcome, make_scenario, shrink_s))
        outcomes.append(outcome)
    return outcomes


def play_seed(seed: int, make_scenario: Callable[[], Scenario], keep: Sequence[int] | None = None) -> Outcome:
    """Play the schedule that a seed gives, or some of its steps, by their numbers."""
    scenario = make_scenario()
    schedule = generate(seed, tuple(scenario.operations), scenario.limits)
    return play(schedule if keep is None else schedule.keep(keep), make_scenario)


def shrunk(outcome: Outcome, make_scenario: Callable[[], Scenario], within_s: float = _SHRINK_S) -> Outcome:
    """Return the outcome of as few steps of a failed schedule as violate the same."""
    schedule, smallest = outcome.schedule, outcome
    deadline = _now() + within_s

    def fails(numbers: Sequence[int]) -> bool:
        nonlocal smallest
        tried = play(schedule.keep(numbers), make_scenario)
        if tried.invariant == outcome.invariant:
            smallest = tried
        return tried.invariant == outcome.invariant

    numbers = schedule.kept if schedule.kept is not None else range(len(schedule.steps))
    shrink(numbers, fails, lambda: _now() < deadline)
    return smallest


def _how_to_replay(outcome: Outcome) -> str:
    kept = outcome.schedule.kept
    keep = f", keep={list(kept)}" if kept is not None else ""
    return f"to see it again, with PYTHONHASHSEED=0: play_seed({outcome.schedule.seed}, make_scenario{keep})"


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - how long to go on does not change what is found
