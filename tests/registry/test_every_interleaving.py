"""The claims in every order in which messages, views, timers and faults can come, for a few nodes and one name.

About 1.56 million states in all, each scenario to its end: 232 (claims alone) to 131,943 (a join while a node
crashes), and 602,943 for a partition of three nodes. ``docs/decisions/0010`` has the table, and what is not explored;
``make explore`` goes on to 16 million.
"""

from __future__ import annotations

import pytest

from tests.registry import scenarios as of
from tests.registry.exploring import Explorer, Scenario

SCENARIOS: dict[str, Scenario] = {
    "claims of all three": of.steady(claims="ABC"),
    "what is under way lost, a message lost, a claim repeated": of.steady(early_looks=1, skips=1, resets=1),
    "a claim out of time, a message lost": of.steady(give_up="AB", early_looks=1, skips=1),
    "given back, what is under way lost, a message lost": of.steady(unregister="A", give_up="B", resets=1, skips=1),
    **{f"a crash, home {home}": of.crash(home) for home in "AC"},
    **{f"a crash, home {home}, a message lost": of.crash(home, early_looks=1, skips=1) for home in "AC"},
    **{f"a join, home {home} then {then}": of.join(home, then) for home, then in ("AA", "AC")},
    **{
        f"a join, home {home} then {then}, a message lost": of.join(home, then, "BC", skips=1, early_looks=1)
        for home, then in ("AA", "AC")
    },
    **{f"a join while A crashes, home then {then}": of.join_and_crash(then) for then in "ABC"},
    "a join of C, which crashes": of.join_and_crash("C", crashes="C"),
    **{f"C leaves, home {home}": of.leave(home) for home in "AC"},
    **{f"C leaves, home {home}, a message lost": of.leave(home, "BC", skips=1) for home in "AC"},
    **{f"a view that comes back at A alone, home {home}": of.flap(home) for home in "ABC"},
    **{f"a partition of two, home {home}": of.partition_of_two(home) for home in "AC"},
    **{f"a partition of two, home {home}, a message lost": of.partition_of_two(home, skips=1) for home in "AC"},
    "a partition of three": of.partition("A", "AC"),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_name_has_one_owner_in_every_order_of_events(name: str) -> None:
    """Never two live owners; and from each state the nodes come to rest with each claim answered, and rightly."""
    explorer = Explorer(SCENARIOS[name]).run()
    assert explorer.is_complete
    assert explorer.rests
