"""What can be tuned about finding peers."""

from __future__ import annotations

from dataclasses import dataclass

from foundation.core.backoff import Backoff


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """How often strategies look and how long each may take."""

    poll_interval_s: float = 1.0
    """Seconds between two lookups, unless the strategy has its own; less finds nodes sooner."""

    poll_jitter: float = 0.1
    """Share of the interval that chance may add or take away; more spreads the nodes further apart."""

    start_timeout_s: float = 10.0
    """Seconds that opening and announcing may take; less gives up sooner on a service that hangs."""

    lookup_timeout_s: float = 5.0
    """Seconds that one lookup may take; less notices a hanging service sooner, more tolerates a slow one."""

    stop_timeout_s: float = 1.0
    """Seconds that the goodbye may take; less leaves faster, more lets a slow service hear of it."""

    grace_s: float = 0.2
    """Seconds that a cancelled strategy gets to clean up until it is abandoned; less stops faster."""

    shortest_gap_s: float = 0.05
    """Seconds between two lookups even if a strategy says that something changed; less reacts sooner."""

    fallback_after_s: float = 1.0
    """Seconds without anybody found until the strategies of the fallback begin; less meets their nodes sooner."""

    most_peers: int = 10_000
    """Peers above which a lookup is taken for nonsense; more allows larger clusters, less bounds memory."""

    restart_after: int = 5
    """Failures in a row after which a strategy is stopped and started again; less repairs sooner."""

    backoff: Backoff = Backoff(first_s=0.5, most_s=30.0)  # noqa: RUF009 - frozen
    """Delays between tries of a failing strategy; less notices a recovery sooner, more spares the service."""
