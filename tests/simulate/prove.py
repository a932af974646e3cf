"""Prove that planted faults are found: ``python -m tests.simulate.prove drop_left=1 no_deadline=0 =0``.

For each plant schedules are played from the given seed on until one fails, which is then played twice more; without a
plant, the first 20. Each result is a line of JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import chain

from foundation.testing.schedules import Outcome, play_seed
from tests.simulate.plants import planted
from tests.simulate.scenario import make_scenario

MOST_SEEDS = 200
SEEDS_WITHOUT = 20


def prove(plant: str, first: int) -> dict[str, object]:
    """Find a plant and find it again."""
    with planted(plant):
        found = _first_failure(chain(range(first, MOST_SEEDS), range(first)) if plant else range(SEEDS_WITHOUT))
        if found is None:
            return {"plant": plant, "seed": None, "runs": []}
        runs = [found, *(play_seed(found.schedule.seed, make_scenario) for _ in range(2))]
    return {"plant": plant, "seed": found.schedule.seed, "runs": [[run.invariant, run.digest] for run in runs]}


def _first_failure(seeds: Iterable[int]) -> Outcome | None:
    outcomes = (play_seed(seed, make_scenario) for seed in seeds)
    return next((outcome for outcome in outcomes if outcome.failed), None)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        name, _, seed = argument.partition("=")
        print(json.dumps(prove(name, int(seed))), flush=True)  # noqa: T201
