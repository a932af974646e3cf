"""How a process, or a node, came to its end: what its monitors are told."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from foundation.core.identity import NodeId, ProcessId


class EndReason(StrEnum):
    """Why something ended."""

    STOPPED = "stopped"
    """It was stopped, in order."""

    CRASHED = "crashed"
    """It failed in ``started`` or ``stopping``, a handler raised ProcessCrash, or it did not stop in time."""

    LINKED = "linked"
    """A process that it was linked with ended, and not in order; or its parent ended."""

    LOST_NAME = "lost name"
    """After a partition another process kept the name that both had."""

    MOVED = "moved"
    """It goes on at another node, as another process with the same name."""

    NODE_DOWN = "node down"
    """Its node is down, as far as anybody who can be asked knows."""

    NODE_LEFT = "node left"
    """Its node has left the cluster in order."""

    NO_SUCH_PROCESS = "no such process"
    """It had ended before it was asked for."""


class Ending(Struct, array_like=True, frozen=True):
    """How one process ended, as its node says."""

    reason: EndReason
    text: str = ""
    error_type: str = ""


class Ended(Struct, frozen=True):
    """Something that was watched has ended; it may travel, as an argument or in a message."""

    node: NodeId
    process_id: ProcessId | None
    """None where the node itself was watched."""

    reason: EndReason
    text: str = ""
    """The reason that was given to stop it, or the text of the error."""

    error_type: str = ""
    """``module:qualname`` of the error that it crashed with."""

    @property
    def is_normal(self) -> bool:
        """Whether it was stopped in order or has moved, which does not concern those who are linked with it."""
        return self.reason in {EndReason.STOPPED, EndReason.MOVED}

    def __str__(self) -> str:
        """Print as a sentence."""
        what = f"node {self.node[:8]}" if self.process_id is None else f"process {self.process_id}"
        error = self.error_type.rpartition(":")[2]
        return ": ".join(part for part in (f"{what} ended", str(self.reason), error, self.text) if part)
