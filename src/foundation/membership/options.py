"""What can be tuned about membership."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundation.core.backoff import Backoff


@dataclass(frozen=True, slots=True)
class MembershipOptions:
    """When a member is given up, and how hard this node tries to reach others."""

    down_after_s: float = 10.0
    """Seconds that everybody in reach must have called a member unreachable before it is down. More rides out longer
    cuts, less fails over sooner."""

    retention_s: float = 600.0
    """Seconds for which a member that is down or has left is remembered, so that its past incarnation is refused."""

    announce_after_s: float = 0.02
    """Seconds in which changed opinions of others are gathered before they are told. More tells less often."""

    tick_s: float = 0.5
    """Seconds between two looks at the clock. Less decides more exactly, more costs less."""

    stall_s: float = 2.0
    """A gap this long between two ticks means that this node itself stood still: its timers start again, before it
    judges others (Lifeguard, Dadgar et al. 2018)."""

    redial: Backoff = field(default_factory=lambda: Backoff(first_s=0.2, most_s=5.0, jitter=0.3))
    """Delays between two tries to reach a member or a discovered address."""

    refused_again_s: float = 30.0
    """Seconds before knocking again at a door that refused this node; a refusal seldom changes."""

    most_dials: int = 16
    """How many addresses are dialed at once."""
