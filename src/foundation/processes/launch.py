"""How a process is started that is to run somewhere, as all nodes know: a distributed child."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from foundation.processes.timer import TimerState


@dataclass(frozen=True, slots=True)
class Launch:
    """What differs from the start of any other process."""

    enroll: Callable[[int], Awaitable[None]]
    """Gives its name to the process with that serial; what it raises ends the start."""

    state: bytes | None = None
    """What its `snapshot` gave at another node, encoded as the arguments of `restore`."""

    timers: Sequence[TimerState] = ()
    """Those that it had at another node."""
