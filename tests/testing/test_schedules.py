"""Schedules are drawn from a seed, played on a simulated cluster, and cut down to what a failure takes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import foundation
from foundation.cluster import Cluster
from foundation.errors import FoundationError, NodeDown
from foundation.testing import SimulatedCluster, SimulatedNode
from foundation.testing.schedules import (
    FAULTS,
    Limits,
    Scenario,
    Schedule,
    ScheduleFailed,
    Step,
    check_schedules,
    generate,
    play,
    play_seed,
)
from foundation.testing.schedules.shrinking import shrink

SMALL = Limits(nodes=(3, 4), rounds=(1, 2), steps=(3, 8), round_s=(2.0, 8.0))


class Stock(foundation.Process, wire_name="schedules.Stock"):
    def __init__(self) -> None:
        self.taken = 0

    async def take(self) -> int:
        self.taken += 1
        return self.taken


class Shop:
    """A scenario: nodes take from the stock of another one."""

    def __init__(self, *, breaks_at: str = "", limits: Limits = SMALL) -> None:
        self.stocks: dict[str, Stock] = {}
        self.seen = 0
        self.breaks_at = breaks_at
        self.limits = limits

    def scenario(self) -> Scenario:
        return Scenario(
            operations={"take": self.take},
            always={"nothing_is_killed": self.nothing_is_killed},
            after_quiet={"stocks_answer": self.stocks_answer},
            started=self.started,
            limits=self.limits,
        )

    async def started(self, node: SimulatedNode) -> None:
        await node.run(self._open)

    async def _open(self, cluster: Cluster) -> None:
        self.stocks[cluster.name] = await cluster.start_process(Stock, name=f"stock of {cluster.node.node_id}")

    async def take(self, cluster: SimulatedCluster, chance: Random) -> None:
        node, other = chance.choices([node for node in cluster.nodes if node.runs], k=2)
        await node.run(self._take, other.node_id)
        self.seen += 1
        if self.breaks_at == "take":
            message = "nobody may take"
            raise AssertionError(message)
        if self.breaks_at == "bug":
            raise KeyError(node.name)

    async def _take(self, cluster: Cluster, other: str) -> None:
        await cluster.ref(Stock, f"stock of {other}").take()

    def nothing_is_killed(self, cluster: SimulatedCluster) -> None:
        if self.breaks_at == "kill":
            ended = [node.name for node in cluster.nodes if node.condition == "ended"]
            assert not ended, f"{ended} ended"

    async def stocks_answer(self, cluster: SimulatedCluster) -> None:
        for node in cluster.nodes:
            if node.runs:
                await cluster.nodes[0].run(self._take, node.node_id)


@given(st.lists(st.integers(0, 200), unique=True, max_size=40), st.data())
def test_what_is_left_is_what_it_takes(items: list[int], data: st.DataObject) -> None:
    """Of any steps those are left, in their order, without which the run does not fail."""
    needed = set(data.draw(st.lists(st.sampled_from(items), max_size=4) if items else st.just([])))

    def fails(some: Sequence[int]) -> bool:
        return needed <= set(some)

    assert shrink(items, fails) == [item for item in items if item in needed]


def test_shrinking_ends_in_time() -> None:
    """When there is no time left, what has been found until then is returned."""
    tries = iter([True] * 5 + [False] * 2)
    left = shrink(list(range(100)), lambda some: 99 in some, lambda: next(tries))
    assert len(left) < 100
    assert 99 in left


@given(st.integers(0, 1 << 40))
def test_a_seed_gives_one_schedule(seed: int) -> None:
    """The same from the same: plain data, its steps in order, of known actions and nodes, within the limits."""
    schedule = generate(seed, ["take"], SMALL)
    assert schedule == generate(seed, ["take"], SMALL)
    assert 3 <= schedule.nodes <= 4
    assert 1 <= len(schedule.rounds_s) <= 2
    assert [(step.round, step.at_s) for step in schedule.steps] == sorted((s.round, s.at_s) for s in schedule.steps)
    assert {step.action for step in schedule.steps} <= {*FAULTS, "take"}
    named = {number for step in schedule.steps for group in step.groups for number in group}
    assert named <= set(range(schedule.nodes + SMALL.joining))
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


def test_steps_keep_their_numbers() -> None:
    """What is kept of a part is what is kept of the whole."""
    schedule = generate(7, ["take"], Limits())
    part = schedule.keep([1, 3, 5])
    assert part.steps == (schedule.steps[1], schedule.steps[3], schedule.steps[5])
    assert part.keep([5, 3]).kept == (3, 5)
    assert part.keep([3, 5]).steps == (schedule.steps[3], schedule.steps[5])
    assert "   3  round" in str(part)


def test_a_scenario_is_played_and_held_to_its_checks() -> None:
    """Operations happen, nodes are prepared whenever they start, checks are made, and all of it can be repeated."""
    made: list[Shop] = []

    def make_scenario() -> Scenario:
        made.append(Shop())
        return made[-1].scenario()

    outcomes = check_schedules(make_scenario, range(5))
    assert sum(outcome.happened.get("take: result", 0) for outcome in outcomes) > 5
    assert sum(shop.seen for shop in made) > 5
    assert all("everything held" in str(outcome) for outcome in outcomes)
    assert play_seed(3, make_scenario).digest == outcomes[3].digest


@pytest.mark.parametrize(
    ("breaks_at", "invariant", "text"),
    [
        ("take", "take", "nobody may take"),
        ("kill", "nothing_is_killed", "ended"),
        ("bug", "operations_fail_well", "KeyError('node-"),
    ],
)
def test_what_does_not_hold_is_named_and_cut_down(breaks_at: str, invariant: str, text: str) -> None:
    """The error has what did not hold, the one step that it takes, the last events, and how to see it again."""
    with pytest.raises(ScheduleFailed) as failure:
        check_schedules(lambda: Shop(breaks_at=breaks_at).scenario(), range(20))
    outcome = failure.value.outcome
    assert outcome.invariant == invariant
    assert text in outcome.text
    assert len(outcome.schedule.steps) == 1
    assert f"keep={list(outcome.schedule.kept or ())}" in str(failure.value)
    again = play_seed(outcome.schedule.seed, lambda: Shop(breaks_at=breaks_at).scenario(), outcome.schedule.kept)
    assert (again.invariant, again.digest) == (outcome.invariant, outcome.digest)


@pytest.mark.parametrize("action", FAULTS)
def test_each_fault_happens(action: str) -> None:
    """It is counted as having happened, and the cluster gets over it."""
    sides = ((0,), (1, 2))
    groups = {"heal": (), "release": (), "join": ((3,),)}.get(action, sides if action in NETWORK else ((1,),))
    first = Step(0, 0.5, "kill", ((1,),)) if action == "start" else Step(0, 0.5, "hold", sides)
    schedule = Schedule(1, 3, (20.0,), (first, Step(0, 1.0, action, groups, 0.2)))
    outcome = play(schedule, lambda: Shop().scenario())
    assert not outcome.failed, outcome
    assert outcome.happened[action] >= 1


NETWORK = {"partition", "partition_oneway", "hold", "delay", "drop"}


def test_an_operation_that_does_not_end_is_named() -> None:
    """Once everything is healed, what still hangs is told; an error of the library is what faults do."""

    async def hang(cluster: SimulatedCluster, _chance: Random) -> None:
        await cluster.nodes[0].run(_hang)

    async def give_up(_cluster: SimulatedCluster, _chance: Random) -> None:
        raise NodeDown("as ever")  # noqa: EM101, TRY003

    steps = (Step(0, 0.5, "give_up"), Step(0, 1.0, "hang"))
    scenario = Scenario(operations={"hang": hang, "give_up": give_up})
    outcome = play(Schedule(1, 3, (2.0,), steps), lambda: scenario)
    assert outcome.invariant == "everything_ends"
    assert "hang" in outcome.text
    assert outcome.happened["give_up: NodeDown"] == 1
    assert issubclass(NodeDown, FoundationError)


async def _hang(cluster: Cluster) -> None:
    await cluster.until_lost()
