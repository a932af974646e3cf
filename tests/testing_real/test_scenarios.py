"""Simulated nodes, processes and hosts come to the same end, by the same way as far as it is determined."""

from __future__ import annotations

from typing import Any

import pytest

from foundation.testing import HostCluster, ProcessCluster, UnsupportedFault, simulate
from tests.testing_real import scenarios
from tests.testing_real.scenarios import Outcome, Pair, Scenario

pytestmark = pytest.mark.timeout(60)
NODES = ("node-0", "node-1", "node-2")
OPTIONS: dict[str, Any] = {"fabric": {"lease_s": 1.0}}
MODULES = ["tests.testing_real.on_nodes"]
SEEDS = 3


def everybody_is_up(said: dict[Pair, list[str]], *answers: object) -> Outcome:
    return Outcome({name: [(other, "up") for other in NODES] for name in NODES}, said, list(answers))


def of(seen: int, *statuses: str, both_ways: bool = False) -> dict[Pair, list[str]]:
    """Have all others say that of one of the nodes, and with ``both_ways`` that one of all others."""
    pairs = [(name, NODES[seen]) for name in NODES if name != NODES[seen]]
    pairs += [(b, a) for a, b in pairs] if both_ways else []
    return {pair: list(statuses) for pair in pairs}


DIED = of(2, "unreachable", "down", "up")
EXPECTED: list[tuple[Scenario, Outcome]] = [
    (scenarios.kill_and_restart, everybody_is_up(DIED)),
    (scenarios.leave_and_return, everybody_is_up(of(1, "leaving", "left", "up"))),
    (scenarios.pause_past_the_lease, everybody_is_up(of(2, "unreachable", "up", both_ways=True))),
    (scenarios.cut_off_and_heal, everybody_is_up(of(0, "unreachable", "up", both_ways=True))),
    (
        scenarios.calls_through_a_cut,
        everybody_is_up(of(0, "unreachable", "up", both_ways=True), [1, 2, 3], "CallTimeout", 13),
    ),
    (scenarios.calls_through_a_restart, everybody_is_up(DIED, 5, "NoSuchNameError", 1)),
]
NEEDS_CUTS = {scenarios.cut_off_and_heal, scenarios.calls_through_a_cut}

each_scenario = pytest.mark.parametrize(
    ("scenario", "expected"), [pytest.param(*pair, id=pair[0].__name__) for pair in EXPECTED]
)


@each_scenario
@pytest.mark.parametrize("seed", range(SEEDS))
def test_simulated(scenario: Scenario, expected: Outcome, seed: int) -> None:
    """In the simulation, whatever the seed."""
    assert simulate(scenario, len(NODES), seed=seed, **OPTIONS) == expected


@each_scenario
async def test_on_processes(scenario: Scenario, expected: Outcome) -> None:
    """With real processes, as far as those have what it takes."""
    async with ProcessCluster(len(NODES), MODULES, **OPTIONS) as cluster:
        if scenario in NEEDS_CUTS:
            with pytest.raises(UnsupportedFault, match="HostCluster"):
                await scenario(cluster)
        else:
            assert await scenario(cluster) == expected


@each_scenario
@pytest.mark.skipif(HostCluster.why_not() is not None, reason=str(HostCluster.why_not()))
async def test_on_hosts(scenario: Scenario, expected: Outcome) -> None:
    """With real processes on hosts of their own, where a new node has the address of the old one."""
    async with HostCluster(len(NODES), MODULES, **OPTIONS) as cluster:
        addresses = [node.address for node in cluster.nodes]
        assert await scenario(cluster) == expected
        assert [node.address for node in cluster.nodes] == addresses
