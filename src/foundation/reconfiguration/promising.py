"""What one node promises to who wants to change the configuration: to take these values, and no others meanwhile."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct

from foundation.config.changes import checked_changes
from foundation.core.clock import Clock
from foundation.core.hybrid_clock import HybridClock
from foundation.core.identity import NodeId
from foundation.errors import ClockDriftError, ConfigurationError
from foundation.reconfiguration.rows import newest_stamp
from foundation.reconfiguration.taking import Taking

PROMISE_S = 15.0
"""Seconds for which a promise holds; who asked for it has to act on it sooner."""


class Proposal(Struct, frozen=True):
    """A change that a node asks for."""

    node: NodeId
    name: str
    """Of that node, for people."""

    number: int
    """Counted by that node."""

    stamp: int
    values: dict[str, Any]


class Verdict(Struct, frozen=True):
    """The answer: a promise, or why there is none."""

    newest: int = 0
    """The latest stamp that this node knows of; the change needs a later one."""

    key: str = ""
    why_not: str = ""


class _Promise(NamedTuple):
    proposal: Proposal
    until: float


class Promising:
    """Gives one promise at a time."""

    def __init__(self, taking: Taking, me: NodeId, clock: Clock, is_in: Callable[[NodeId], bool]) -> None:
        """``is_in`` tells whether a node is still there: of one that is not, nothing more comes."""
        self._taking = taking
        self._clock = clock
        self._is_in = is_in
        self._hybrid = HybridClock(taking.config.registry.max_drift_s, zlib.crc32(me.encode()))
        self._promise: _Promise | None = None

    def stamp(self) -> int:
        """Return a stamp later than all that this node has heard of."""
        return max(self._hybrid.stamp(self._clock.wall()), newest_stamp(self._taking.known) + 1)

    def answer(self, proposal: Proposal) -> Verdict:
        """Promise to take the values, or say why not."""
        other = self._other(proposal)
        if other is not None:
            why = f"{other.name} changes the configuration at this moment; look at what it did, then try again"
            return Verdict(why_not=why)
        try:
            checked_changes(proposal.values, self._taking.config)
            if proposal.stamp > newest_stamp(self._taking.known) + 1:  # else it only follows what was said before
                self._hybrid.hear(proposal.stamp, self._clock.wall())
        except ConfigurationError as error:
            return Verdict(key=next(iter(proposal.values)), why_not=str(error))
        except ClockDriftError as error:
            return Verdict(why_not=f"it got {error}")
        self._promise = _Promise(proposal, self._clock.now() + PROMISE_S)
        return Verdict(newest_stamp(self._taking.known))

    def release(self, node: NodeId, number: int) -> None:
        """Take the promise back that was given for a proposal."""
        promise = self._promise
        if promise is not None and (promise.proposal.node, promise.proposal.number) == (node, number):
            self._promise = None

    def _other(self, proposal: Proposal) -> Proposal | None:
        """Return the proposal of somebody else for which a promise holds."""
        if self._promise is None:
            return None
        other, until = self._promise
        known = self._taking.known
        was_made = all(key in known and known[key].stamp >= other.stamp for key in other.values)
        is_over = was_made or self._clock.now() >= until or not self._is_in(other.node)
        return None if is_over or other.node == proposal.node else other
