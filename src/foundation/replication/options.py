"""What can be tuned in the replicated state."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicationOptions:
    """Each value says what it means, in which unit, and what more and less of it does."""

    compare_interval_s: float = 5.0
    """Seconds between comparisons with one random peer. Less repairs sooner what a session lost, and costs more."""

    want_timeout_s: float = 3.0
    """Seconds without progress after which missing rows are asked for again, from anybody who has them."""

    retention_s: float = 600.0
    """Seconds for which the rows of a node that is down are kept, and tombstones. A node that was cut off for longer
    sends and gets whole tables when it is back; more costs memory in a cluster whose nodes restart often."""

    piece_bytes: int = 48 * 1024
    """Most bytes of rows in one message. More is a little faster; less lets other messages through sooner."""

    most_row_bytes: int = 16 * 1024
    """Most bytes of one row: a name with its metadata."""

    most_ahead: int = 256
    """Messages that came before what precedes them and wait for it, of one node's table. More are dropped and fetched
    again."""
