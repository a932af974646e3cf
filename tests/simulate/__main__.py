"""Look for faults of the library by schedules: ``make simulate SEEDS=500``.

``FROM=1000`` begins at another seed, ``SEED=123`` plays one and shows all of it, ``KEEP=3,7`` only those of its steps,
``PLANT=name`` puts a fault into the library first; ``PLANT=?`` lists those that there are. ``SCENARIO=children`` plays
that one only, which ``SEED`` needs where it is not that of nodes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from foundation.testing.schedules import FAULTS, Outcome, play_seed, shrunk
from tests.replication.model import play_many as play_many_tables
from tests.simulate.farm import Harvest, play_many
from tests.simulate.plants import PLANTS, planted
from tests.simulate.scenarios import SCENARIOS, scenario_for

_PROGRESS_S = 30.0
_SHRINK_S = 60.0
_LEAST_TABLES = 1000


def main() -> int:
    """Do what the arguments say; 1 when something did not hold."""
    given = _arguments()
    if given.plant and given.plant not in PLANTS:
        width = max(map(len, PLANTS))
        print("\n".join(f"{name:<{width}}  {plant.__doc__}" for name, plant in PLANTS.items()))  # noqa: T201
        return 0 if given.plant == "?" else 2
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets of texts are walked in the order of their hashes
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulate", *sys.argv[1:]])  # noqa: S606
    return _one(given) if given.seed is not None else _many(given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many schedules")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one, and show everything")
    parser.add_argument("--keep", type=_numbers, help="the steps to play, like 3,7,9")
    parser.add_argument("--plant", default="", help="a fault to put into the library; ? lists them")
    parser.add_argument("--scenario", choices=SCENARIOS, help="which scenario; all of them one after the other")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def _one(given: argparse.Namespace) -> int:
    with planted(given.plant):
        outcome = play_seed(given.seed, SCENARIOS[given.scenario or scenario_for(given.plant)], given.keep)
    print(outcome.report(events=None))  # noqa: T201
    return int(outcome.failed)


def _many(given: argparse.Namespace) -> int:
    console = Console(soft_wrap=True, highlight=False)
    names = [scenario_for(given.plant)] if given.plant else list(SCENARIOS)
    for name in [given.scenario] if given.scenario else names:
        began = time.monotonic()
        seeds = range(given.first, given.first + given.seeds)
        harvest = play_many(seeds, given.plant, _progress(console, given.seeds), name)
        if harvest.failed is not None:
            _tell_failure(console, harvest.failed, given.plant, name)
            return 1
        console.print(_table(harvest))
        took_s = time.monotonic() - began
        console.print(
            f"{name}: {harvest.played} schedules, {harvest.virtual_s / 3600:.1f} h of virtual time: everything held. "
            f"{took_s:.0f} s, {took_s / max(harvest.played, 1):.2f} s each"
        )
    if not given.plant:
        _play_tables(console, given.first, max(given.seeds, _LEAST_TABLES))
    return 0


def _play_tables(console: Console, first: int, seeds: int) -> None:
    """Try the protocol of the tables alone, which is quick; an AssertionError names the seed that fails."""
    began = time.monotonic()
    play_many_tables(first, seeds)
    took_s = time.monotonic() - began
    console.print(
        f"{seeds} runs of the tables' protocol: no row lost, none resurrected, all copies equal. {took_s:.0f} s"
    )


def _progress(console: Console, seeds: int) -> Callable[[Harvest], None]:
    said = time.monotonic()

    def progress(harvest: Harvest) -> None:
        nonlocal said
        if time.monotonic() - said >= _PROGRESS_S:
            said = time.monotonic()
            console.print(f"{harvest.played} of {seeds} schedules")

    return progress


def _tell_failure(console: Console, failed: Outcome, plant: str, scenario: str) -> None:
    seed = failed.schedule.seed
    console.print(f"seed {seed}: {failed.invariant} does not hold. Leaving out steps that it does not take ...")
    with planted(plant):
        smallest = shrunk(failed, SCENARIOS[scenario], _SHRINK_S)
    console.print(smallest.report(), markup=False)
    plant = f" PLANT={plant}" if plant else ""
    kept = smallest.schedule.kept
    keep = f" KEEP={','.join(map(str, kept))}" if kept is not None else ""
    chosen = f" SCENARIO={scenario}" if scenario != "nodes" else ""
    console.print(f"to see it again:  make simulate SEED={seed}{chosen}{plant}{keep}", markup=False)


def _table(harvest: Harvest) -> Table:
    table = Table("what", "how often", "how it ended")
    counts = dict(sorted(harvest.happened.items()))
    names = sorted({name.partition(":")[0] for name in counts}, key=lambda name: (name not in FAULTS, name))
    for name in names:
        ends = {end.partition(": ")[2]: count for end, count in counts.items() if end.startswith(f"{name}: ")}
        told = ", ".join(f"{end} {count}" for end, count in sorted(ends.items(), key=lambda item: -item[1]))
        table.add_row(name, str(counts.get(name, 0) + (0 if name in FAULTS else sum(ends.values()))), told)
    return table


if __name__ == "__main__":
    sys.exit(main())
