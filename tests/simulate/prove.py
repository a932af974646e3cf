"""Prove that planted faults are found: ``python -m tests.simulate.prove drop_left=1 no_deadline=0 =0``.

For each plant schedules are played from the given seed on until one fails, which is then played twice more; without a
plant, the first 20 of each scenario. Each result is a line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from itertools import chain

from foundation.testing.schedules import Outcome, Scenario, play_seed
from tests.simulate.plants import planted
from tests.simulate.scenarios import SCENARIOS, scenario_for

MOST_SEEDS = 200
SEEDS_WITHOUT = 20


def prove(plant: str, first: int) -> dict[str, object]:
    """Find a plant and find it again."""
    if not plant:
        return _prove_nothing()
    make = SCENARIOS[scenario_for(plant)]
    with planted(plant):
        found = _first_failure(chain(range(first, MOST_SEEDS), range(first)), make)
        if found is None:
            return {"plant": plant, "seed": None, "runs": []}
        runs = [found, *(play_seed(found.schedule.seed, make) for _ in range(2))]
    return {"plant": plant, "seed": found.schedule.seed, "runs": [[run.invariant, run.digest] for run in runs]}


def _prove_nothing() -> dict[str, object]:
    failed = [_first_failure(range(SEEDS_WITHOUT), make) for make in SCENARIOS.values()]
    runs = [[run.invariant, run.digest] for run in failed if run is not None]
    return {"plant": "", "seed": None, "runs": runs}


def _first_failure(seeds: Iterable[int], make: Callable[[], Scenario]) -> Outcome | None:
    outcomes = (play_seed(seed, make) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.failed), None)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, seed = argument.partition("=")
        print(json.dumps(prove(name, int(seed))), flush=True)  # noqa: T201
