"""What is done in a run and what must hold: the part of a schedule that belongs to whom it is played for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from foundation.testing.schedules.generating import Limits
from foundation.testing.simulation import SimulatedCluster, SimulatedNode

Operation = Callable[[SimulatedCluster, Random], Awaitable[None]]
"""Something that users do: it picks a node by chance and has it do something, mostly with :meth:`SimulatedNode.run`."""

Check = Callable[[SimulatedCluster], None]
"""Raises an :class:`AssertionError` that says what is wrong."""

QuietCheck = Callable[[SimulatedCluster], Awaitable[None] | None]
"""A check that may also be an async function, and ask the nodes."""


async def _nothing(_node: SimulatedNode) -> None:
    """Do nothing with a new node."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is done, and what must hold. Each run has one of its own, so it may keep what it needs to know.

    An operation may end with a :class:`foundation.errors.FoundationError`: that is what faults do. Anything else that
    it raises fails the run, and so does one that does not end within ``ends_within_s`` of a quiet phase.
    """

    operations: Mapping[str, Operation]
    """What is done, by name."""

    after_quiet: Mapping[str, QuietCheck] = field(default_factory=dict[str, QuietCheck])
    """What must hold at the end of each quiet phase, when all nodes agree and all operations have ended, by name."""

    always: Mapping[str, Check] = field(default_factory=dict[str, Check])
    """What must hold all the time: looked at every ``look_s`` seconds of virtual time, and before ``after_quiet``."""

    started: Callable[[SimulatedNode], Awaitable[None]] = _nothing
    """What is done with each node once it takes part, the first time and after each restart."""

    limits: Limits = field(default_factory=Limits)
    """How long and how wild schedules are."""

    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Arguments of :func:`foundation.start_cluster` for all nodes."""

    look_s: float = 0.25
    """Seconds of virtual time between two looks at what must always hold."""

    agree_within_s: float = 60.0
    """Seconds of virtual time after which all nodes must agree who is in, once everything is healed."""

    ends_within_s: float = 60.0
    """Seconds of virtual time after which starts, leaves and operations must have ended, once everything is healed."""

    rest_s: float = 5.0
    """Seconds of virtual time for which nothing happens any more before ``after_quiet`` is checked."""


class Violation(AssertionError):  # noqa: N818 - says what happened
    """Something that must hold did not."""

    def __init__(self, invariant: str, text: str) -> None:
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


VIEWS_AGREE = "views_agree"
"""Built in: once everything is healed all nodes agree who is in, and go on to."""

EVERYTHING_ENDS = "everything_ends"
"""Built in: once everything is healed, operations, starts and leaves end."""

OPERATIONS_FAIL_WELL = "operations_fail_well"
"""Built in: an operation raises nothing but errors of this library."""

NODES_START_AND_LEAVE = "nodes_start_and_leave"
"""Built in: nodes start and leave without errors, and what is done with a node that has started succeeds."""

NO_ERROR_LOGGED = "no_error_logged"
"""Built in: the library and its event loops log nothing that is an error."""
