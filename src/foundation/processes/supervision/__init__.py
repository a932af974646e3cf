"""Supervision: processes that start others, and start them again when they end."""

from foundation.processes.supervision.child import Child, child
from foundation.processes.supervision.restarting import (
    RESTART_BACKOFF,
    Intensity,
    Pace,
    Restart,
    Strategy,
    wants_restart,
)
from foundation.processes.supervision.slot import ChildCount, ChildInfo
from foundation.processes.supervision.supervisor import PlanWords, Supervisor, supervisor

__all__ = [
    "RESTART_BACKOFF",
    "Child",
    "ChildCount",
    "ChildInfo",
    "Intensity",
    "Pace",
    "PlanWords",
    "Restart",
    "Strategy",
    "Supervisor",
    "child",
    "supervisor",
    "wants_restart",
]
