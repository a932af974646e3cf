"""Explore what takes too long for ``make test``: ``make explore``, or ``make explore ARGS=2000000`` for more states.

Prints for each scenario how many states were visited, and whether those were all.
"""

from __future__ import annotations

import sys
import time

from tests.registry import scenarios as of
from tests.registry.exploring import Explorer, Scenario
from tests.registry.test_every_interleaving import SCENARIOS

LARGE: dict[str, Scenario] = {
    **{f"a partition of three, home {home}": of.partition(home) for home in "BC"},
    "a partition of three, a message lost": of.partition("A", skips=1),
    "a partition of three, and a view that comes back": of.flap_after_a_partition("A"),
    "a partition of three, three claims": of.partition("A", "ABC"),
    "a join while A crashes, sessions lost, a claim repeated": of.join_and_crash("C", resets=1, early_looks=1),
    "a join while A crashes, a message lost": of.join_and_crash("C", skips=1),
    "a join, what is under way lost": of.join("A", "C", resets=1, early_looks=1),
    "C leaves, what is under way lost": of.leave("A", resets=1, skips=1),
    "a partition of two, what is under way lost": of.partition_of_two("A", resets=1, skips=1, early_looks=1),
    "a crash, a message lost, claims out of time": of.crash("A", skips=1, give_up="AB"),
}


def main() -> None:
    """Explore one scenario after the other, up to so many states each."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000
    for name, scenario in (SCENARIOS | LARGE).items():
        began = time.monotonic()
        explorer = Explorer(scenario, most_states=most).run()
        all_of = "all" if explorer.is_complete else "not all"
        took_s = time.monotonic() - began
        print(f"{explorer.states:>10,} states, {all_of}, {explorer.rests} at rest, {took_s:.0f} s: {name}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
