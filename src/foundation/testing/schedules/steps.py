"""What happens in a run, step by step, as plain data that can be printed, kept and played again. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

Group = tuple[int, ...]
"""Numbers of nodes."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happens: a fault, or an operation of the scenario."""

    round: int
    at_s: float
    """Seconds of virtual time after its round began."""

    action: str
    """A fault (see :mod:`foundation.testing.schedules.faults`), or the name of an operation."""

    groups: tuple[Group, ...] = ()
    """The nodes that it concerns; of a fault of the network one group for each side."""

    amount: float = 0.0
    """Seconds, or a rate: what the action makes of it."""

    seed: int = 0
    """What an operation draws from, so that it does the same whichever other steps are left out."""

    def __str__(self) -> str:
        """Print as one line."""
        nodes = " | ".join(" ".join(f"node-{number}" for number in group) for group in self.groups)
        amount = f"{self.amount:g}" if self.amount else ""
        drawn = f"(seed {self.seed})" if self.seed else ""
        words = " ".join(word for word in (self.action, nodes, amount, drawn) if word)
        return f"round {self.round} {self.at_s:7.3f} s  {words}"


class Schedule(msgspec.Struct, frozen=True):
    """What happens in one run. Each round ends with a quiet phase, in which everything heals and checks are made."""

    seed: int
    nodes: int
    """How many nodes there are at first; further ones may join."""

    rounds_s: tuple[float, ...]
    """How long each round takes, without its quiet phase. Steps beyond that belong to the quiet phase."""

    steps: tuple[Step, ...]
    kept: tuple[int, ...] | None = None
    """Which steps of the schedule that the seed gives these are; None for all of them."""

    @property
    def all_nodes(self) -> int:
        """How many nodes it ever speaks of."""
        named = (number for step in self.steps for group in step.groups for number in group)
        return max(self.nodes, 1 + max(named, default=0))

    def keep(self, numbers: Iterable[int]) -> Schedule:
        """Return the schedule with only these of its steps, counted from 0 in the one that the seed gives."""
        present = self.kept if self.kept is not None else tuple(range(len(self.steps)))
        steps = dict(zip(present, self.steps, strict=True))
        kept = tuple(sorted(set(numbers) & steps.keys()))
        return msgspec.structs.replace(self, steps=tuple(steps[number] for number in kept), kept=kept)

    def __str__(self) -> str:
        """Print one line for each step, with its number."""
        numbers = self.kept if self.kept is not None else range(len(self.steps))
        rounds = ", ".join(f"{seconds:g} s" for seconds in self.rounds_s)
        lines = [f"seed {self.seed}: {self.nodes} nodes, rounds of {rounds}"]
        lines += [f"{number:4d}  {step}" for number, step in zip(numbers, self.steps, strict=True)]
        return "\n".join(lines)
