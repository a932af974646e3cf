"""What the nodes say to each other about children."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from foundation.core.identity import NodeId, ProcessId
from foundation.processes import TimerState
from foundation.registry import NameRow

Result = Literal["started", "exists", "conflict", "taken", "retry", "declined", "failed", "nowhere"]
"""It runs now; it ran already; it is another child; the name is no child's; ask again; that node takes no
more, so ask another one; its start failed; no node can run it."""


class Order(Struct, array_like=True, frozen=True):
    """A child that is to run."""

    name: str
    wire_name: str
    plan: bytes
    life: int = 0
    """Of an orphan, the life that goes on; 0 for a child that begins to live."""
    asker: NodeId = NodeId("")
    """Who wants it, which is where `local` places it; nobody, for one that goes on."""


class Outcome(Struct, array_like=True, frozen=True):
    """What became of an order, or of a hand-over."""

    result: Result
    text: str = ""
    error_type: str = ""


def failure(error: Exception) -> Outcome:
    """Say that a start has failed."""
    cls = type(error)
    return Outcome("failed", str(error), f"{cls.__module__}:{cls.__qualname__}")


class HandOver(Struct, array_like=True, frozen=True):
    """A child that goes on at another node."""

    source: NodeId
    name: str
    row: NameRow
    """As its node had it."""
    state: bytes | None
    """What `snapshot` gave, as the arguments of `restore`; None for a class that has none, or no process."""
    timers: tuple[TimerState, ...] = ()


class ChildReport(Struct, frozen=True):
    """A child that a node holds, or is to find a place for."""

    name: str
    wire_name: str
    process_id: ProcessId | None
    """None while it has no process."""
    restarts: int = 0
    """How often it was started again on this node."""
    why: str = ""
    """Why it is where it is, or why it does not run."""
    state_bytes: int | None = None
    """How large its state was when it was moved here; None when it was not, or has none.

    Nobody asks for it otherwise: `snapshot` is promised to be the last message of a process at its node.
    """
