"""What was asked of a simulated cluster in one run, and what came of it: all nodes of a simulation share a memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from foundation.core.channels import ChannelName
from foundation.core.identity import NodeId, ProcessId

PROBE = 0
"""The number of calls that are not written down."""


@dataclass
class CallRecord:
    """One call, as its caller and its handler saw it."""

    number: int
    what: str
    caller: NodeId
    target: ProcessId
    began_at: float
    deadline: float
    outcome: str = ""
    """``result``, the type of the error, or nothing while it lasts."""
    error: str = ""
    ended_at: float = 0.0
    executed: int = 0

    def __str__(self) -> str:
        ended = f"{self.outcome} at {self.ended_at:.3f}" if self.outcome else "no end"
        text = f" ({self.error})" if self.error else ""
        where = f"from {self.caller[:6]} to {self.target}"
        span = f"begun at {self.began_at:.3f}, due at {self.deadline:.3f}, {ended}{text}"
        return f"call {self.number} {self.what} {where}: {span}; executed {self.executed} times"


class Lane(NamedTuple):
    """What is in order by itself."""

    sender: NodeId
    receiver: ProcessId
    channel: ChannelName

    def __str__(self) -> str:
        return f"{self.channel} from {self.sender[:6]} to {self.receiver}"


@dataclass
class Casts:
    """The numbered casts of one lane."""

    last: int = 0
    accepted: list[int] = field(default_factory=list[int])
    """Those whose sending raised nothing."""
    refused: set[int] = field(default_factory=set[int])
    """Those of which the sender was told that they are surely not handled."""
    handled: list[int] = field(default_factory=list[int])
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """So that numbers are given out in the order in which they are sent."""


@dataclass
class Ledger:
    """The book of one run."""

    calls: dict[int, CallRecord] = field(default_factory=dict[int, CallRecord])
    casts: dict[Lane, Casts] = field(default_factory=dict[Lane, Casts])
    desks: dict[str, ProcessId] = field(default_factory=dict[str, ProcessId])
    """The desk of each node that ever took part."""
    sleepers: dict[str, ProcessId] = field(default_factory=dict[str, ProcessId])
    parted: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Who has given up, or seen off, whom: their session ended with that."""
    saw_off: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Who was connected to those who left in order, and so must have seen them leave."""
    wrong: dict[str, str] = field(default_factory=dict[str, str])
    """What did not hold and was noticed where it happened: the first of each invariant."""

    def complain(self, invariant: str, text: str) -> None:
        self.wrong.setdefault(invariant, text)

    def executed(self, number: int) -> None:
        if number != PROBE:
            self.calls[number].executed += 1

    def lane(self, sender: NodeId, receiver: ProcessId, channel: ChannelName) -> Casts:
        return self.casts.setdefault(Lane(sender, receiver, channel), Casts())


_CURRENT = [Ledger()]


def open_ledger() -> Ledger:
    """Begin the book of a new run."""
    _CURRENT[0] = Ledger()
    return _CURRENT[0]


def current_ledger() -> Ledger:
    """Return the book of this run."""
    return _CURRENT[0]
