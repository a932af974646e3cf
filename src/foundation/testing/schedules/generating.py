"""Make a schedule from a seed: the same from the same, on every machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Sequence
from random import Random

import msgspec

from foundation.testing.schedules.steps import Group, Schedule, Step


class Limits(msgspec.Struct, frozen=True):
    """How long and how wild schedules are; each pair is the least and the most."""

    nodes: tuple[int, int] = (3, 9)
    """Nodes that are there at first."""

    joining: int = 2
    """Nodes that may join later."""

    rounds: tuple[int, int] = (1, 3)
    """Rounds, each of which ends with a quiet phase."""

    round_s: tuple[float, float] = (4.0, 45.0)
    """Seconds that a round takes, without its quiet phase."""

    steps: tuple[int, int] = (6, 24)
    """Steps of one round."""

    faults: tuple[str, ...] | None = None
    """Which faults may happen; None for all of them."""

    fault_share: float = 0.35
    """Which part of the steps are faults; the others are operations."""


def generate(seed: int, operations: Sequence[str], limits: Limits | None = None) -> Schedule:
    """Draw a schedule."""
    limits = limits or Limits()
    chance = Random(f"schedule {seed}")
    nodes = chance.randint(*limits.nodes)
    rounds_s = tuple(round(chance.uniform(*limits.round_s), 1) for _ in range(chance.randint(*limits.rounds)))
    drawing = _Drawing(chance, nodes, nodes + limits.joining)
    possible = {name: weight for name, weight in _WEIGHTS.items() if limits.faults is None or name in limits.faults}
    steps: list[Step] = []
    for number, length_s in enumerate(rounds_s):
        times = sorted(round(chance.uniform(0, length_s), 3) for _ in range(chance.randint(*limits.steps)))
        for at_s in times:
            if possible and (not operations or chance.random() < limits.fault_share):
                (fault,) = chance.choices(list(possible), list(possible.values()))
                steps.append(Step(number, at_s, fault, *drawing.nodes_of(fault)))
            elif operations:
                steps.append(Step(number, at_s, chance.choice(operations), seed=chance.randrange(1, 1 << 32)))
        steps += drawing.ending(number, length_s, possible)
    return Schedule(seed, nodes, rounds_s, tuple(steps))


_WEIGHTS = {
    "partition": 5,
    "partition_oneway": 3,
    "heal": 3,
    "hold": 2,
    "release": 1,
    "delay": 2,
    "drop": 2,
    "kill": 3,
    "crash": 2,
    "restart": 3,
    "pause": 4,
    "leave": 2,
    "join": 2,
    "skew": 1,
}
_SHORT_PAUSE_S = (0.1, 2.9)
_LONG_PAUSE_S = (3.1, 20.0)
_ONE_PAIR = 0.4
_THREE_SIDES = 0.25
_RESTARTED = 0.7
_LEAVING = 0.12


class _Drawing:
    """Draws whom a fault concerns, and how much."""

    def __init__(self, chance: Random, nodes: int, most_nodes: int) -> None:
        self._chance = chance
        self._nodes = range(nodes)
        self._later = range(nodes, most_nodes)
        self._everybody = range(most_nodes)
        self._how_much: dict[str, Callable[[], float]] = {
            "delay": lambda: chance.choice([0.01, 0.1, 0.3, 1.0]) * chance.uniform(0.5, 1.5),
            "drop": lambda: chance.uniform(0.05, 0.5),
            "pause": lambda: chance.uniform(*chance.choice([_SHORT_PAUSE_S, _LONG_PAUSE_S])),
            "skew": lambda: chance.uniform(-3600, 3600),
        }

    def nodes_of(self, fault: str) -> tuple[tuple[Group, ...], float]:
        """Draw the groups of a fault and its amount."""
        if fault in {"heal", "release"}:
            return (), 0.0
        if fault in {"partition", "partition_oneway", "hold", "delay", "drop"}:
            groups = self._sides(most=3 if fault == "partition" else 2)
        elif fault == "join":
            groups = ((self._chance.choice(self._later or self._everybody),),)
        else:
            groups = ((self._chance.choice(self._nodes),),)
        how_much = self._how_much.get(fault)
        return groups, round(how_much(), 3) if how_much else 0.0

    def ending(self, number: int, length_s: float, faults: Container[str]) -> list[Step]:
        """Draw what happens in a quiet phase: some that have ended are started again, some leave."""
        steps: list[Step] = []
        after = itertools.count(1)
        for node in self._nodes:
            if self._chance.random() < _RESTARTED:
                steps.append(Step(number, round(length_s + 0.01 * next(after), 3), "start", ((node,),)))
            elif node and self._chance.random() < _LEAVING and "leave" in faults:
                steps.append(Step(number, round(length_s + 0.01 * next(after), 3), "leave", ((node,),)))
        return steps

    def _sides(self, most: int) -> tuple[Group, ...]:
        chance = self._chance
        if chance.random() < _ONE_PAIR:
            one, other = chance.sample(self._nodes, 2)
            return (one,), (other,)
        shuffled = chance.sample(self._everybody, len(self._everybody))
        sides = most if most > 2 and chance.random() < _THREE_SIDES else 2  # noqa: PLR2004
        cuts = sorted(chance.sample(range(1, len(shuffled)), sides - 1))
        edges = [0, *cuts, len(shuffled)]
        return tuple(tuple(sorted(shuffled[a:b])) for a, b in itertools.pairwise(edges))
