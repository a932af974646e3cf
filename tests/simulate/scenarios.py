"""All scenarios by which the library is tried, by name."""

from __future__ import annotations

from collections.abc import Callable

from foundation.testing.schedules import Scenario
from tests.simulate.children.plants import CHILD_PLANTS
from tests.simulate.children.scenario import make_children, make_whole
from tests.simulate.scenario import make_scenario

SCENARIOS: dict[str, Callable[[], Scenario]] = {
    "nodes": make_scenario,
    "children": make_children,
    "whole": make_whole,
}
"""Of nodes that are called; of distributed children; of those while all nodes that run reach each other."""

_IN_PARTS = {"stuck_after_move", "ended_by_strangers"}
"""Plants that show only where nodes do not reach each other."""


def scenario_for(plant: str) -> str:
    """Return the scenario that is to find a planted fault."""
    if plant not in CHILD_PLANTS:
        return "nodes"
    return "children" if plant in _IN_PARTS else "whole"
