"""Schedules of faults and operations, drawn from a seed and played on a simulated cluster, to find what breaks.

A run does random things to a cluster while it is used, heals everything, and checks what must hold. A run that fails is
cut down to the few steps that it takes, and repeated exactly by its seed. See ``docs/testing.md``.
"""

from foundation.testing.schedules.faults import FAULTS
from foundation.testing.schedules.generating import Limits, generate
from foundation.testing.schedules.outcome import Event, Outcome
from foundation.testing.schedules.running import play
from foundation.testing.schedules.scenario import Check, Operation, QuietCheck, Scenario, Violation
from foundation.testing.schedules.searching import ScheduleFailed, check_schedules, play_seed, shrunk
from foundation.testing.schedules.steps import Schedule, Step

__all__ = [
    "FAULTS",
    "Check",
    "Event",
    "Limits",
    "Operation",
    "Outcome",
    "QuietCheck",
    "Scenario",
    "Schedule",
    "ScheduleFailed",
    "Step",
    "Violation",
    "check_schedules",
    "generate",
    "play",
    "play_seed",
    "shrunk",
]
