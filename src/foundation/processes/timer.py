"""Timers of processes as processes know them; :mod:`foundation.processes.serving.timers` has them run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct


class TimerState(Struct, array_like=True, frozen=True):
    """A timer on its way to another node."""

    left_s: float
    """Seconds until it is due; 0 when its message was waiting already."""

    period_s: float | None
    """None for one that is due once."""

    kind: str
    body: bytes
    """The message, encoded, and the name of its class."""


class Timer(Protocol):
    """A message that a process is to get; what ``send_after`` and ``every`` return."""

    def cancel(self) -> None:
        """Have it sent no more; a message that waits in the mailbox already is not handled either. Safe to repeat."""
        ...


class Timers(Protocol):
    """The timers of one process."""

    def after(self, delay_s: float, message: object) -> Timer:
        """Send a message once."""
        ...

    def every(self, period_s: float, message: object) -> Timer:
        """Send a message again and again."""
        ...

    def states(self) -> list[TimerState]:
        """Return what another node needs to go on with them."""
        ...

    def resume(self, states: Iterable[TimerState]) -> None:
        """Go on with what another node has begun."""
        ...

    def begun(self) -> None:
        """Take that the process has begun: what it sets from now on is new."""
        ...

    def end(self) -> None:
        """End them all."""
        ...
