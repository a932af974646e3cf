"""What can be tuned in how children are distributed."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundation.core.backoff import Backoff


@dataclass(frozen=True)
class DistributionOptions:
    """Each value says what it means, in which unit, and what more and less of it does."""

    start_timeout_s: float = 10.0
    """Seconds that a start may take, with all that waits for other nodes. More outlasts longer disturbances."""

    place_again: Backoff = field(default_factory=lambda: Backoff(first_s=0.2, most_s=15.0))
    """Delays until a child that could not be started on any node is tried again."""

    stable_s: float = 5.0
    """A child that has run for so many seconds is started again at once when it crashes."""

    leave_timeout_s: float = 30.0
    """Seconds that a node that leaves takes at most to hand over its children. What is left then loses its state."""

    moves_at_once: int = 64
    """So many children are handed over at the same time. More leaves sooner, and delays calls by more."""

    batch: int = 256
    """Children that are asked for in one message. More spends less on each, less keeps other work flowing."""

    forget_after_s: float = 1.0
    """Seconds between looks whether everybody knows of terminated children, so that they can be forgotten."""

    rebalance: bool = False
    """Whether children move to nodes that join, where placement would have put them. Off, a join moves nothing."""

    rebalance_after_s: float = 10.0
    """Seconds without another join before children begin to move. More outlasts longer deploys."""

    rebalance_per_s: float = 50.0
    """Children that a node moves in a second at most when it rebalances. More is sooner done, and disturbs more."""
