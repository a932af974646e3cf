"""What can be tuned about processes and calls."""

from __future__ import annotations

import os
from dataclasses import dataclass

_CPUS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """Limits of the processes of one node and of the calls that they make."""

    call_timeout_s: float | None = 5.0
    """Seconds until a call ends with CallTimeout; more waits longer for slow handlers, None waits for ever."""

    mailbox_capacity: int = 10_000
    """Messages that wait in one mailbox; less bounds memory and delay, more rides out longer bursts.

    When half of them do, those who send are asked to wait.
    """

    mailbox_overflow_bytes: int = 4 << 20
    """Bytes beyond the capacity for what was on its way when its senders were asked to wait; more takes more senders
    at full speed, less bounds memory."""

    most_waiters: int = 10_000
    """How many senders of this node may wait until a process takes more; further ones are refused."""

    aside_capacity: int = 1_000
    """Streams and concurrent calls that one process runs at once; less bounds memory, more serves more readers."""

    stream_credit: int = 256
    """Items of one stream that may wait at its reader; more hides longer ways, less bounds memory."""

    timer_capacity: int = 10_000
    """Timers that one process may have; less bounds memory, more takes more."""

    stop_timeout_s: float = 5.0
    """Seconds that a process has to finish its message and to run `stopping`; then it is cancelled."""

    turn_messages: int = 64
    """Messages that a process handles in a row before others get their turn; more is faster and less fair."""

    offload_threads: int = min(32, _CPUS + 4)
    """Threads in which methods marked `offload` run; less bounds memory, more lets more of them wait at once."""

    offload_processes: int = _CPUS
    """Other programs in which methods marked `offload(to="process")` run; each takes the memory of a Python."""

    stuck_after_s: float = 2.0
    """Seconds for which the event loop stands still until the others are told that this node is degraded. Less keeps
    work away from it sooner, more forgives slow handlers. Noticed only where ``slow_handler_s`` is not None."""

    slow_handler_s: float | None = 0.1
    """Seconds that something may hold the event loop before a warning names it; None watches nothing."""

    slow_log_interval_s: float = 10.0
    """Seconds between two such warnings about the same method of a process; the count goes on meanwhile."""

    garbage_log_interval_s: float = 60.0
    """Seconds between two warnings about garbage from the same node; the count goes on meanwhile."""
