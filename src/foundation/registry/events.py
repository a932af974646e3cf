"""What happens to names, as those who watch them are told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from foundation.core.identity import ProcessId


class NameReason(StrEnum):
    """Why a name stands for something else than before."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    """Its owner gave it back, or ended."""

    UPDATED = "updated"
    """It has other metadata."""

    NODE_DOWN = "node_down"
    """The node of its owner is down, or has left."""

    CONFLICT = "conflict"
    """Two had it after a partition, and this one keeps it."""

    MOVED = "moved"
    """Another process has it now."""


@dataclass(frozen=True, slots=True)
class NameEvent:
    """One name, and what became of it."""

    name: str
    reason: NameReason
    process_id: ProcessId | None
    """Whose it is now; None when nobody has it."""

    previous: ProcessId | None
    metadata: dict[str, Any] | None
