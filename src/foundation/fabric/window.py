"""How much may be under way to one node. Pure.

The engine blocks its caller once some megabytes are stuck on the way to a stopped receiver, and then closes the link.
So a sender keeps below that: it stops when ``limit`` bytes are unconfirmed, and goes on when the receiver confirms.
Each batch tells the total number of bytes sent before it, so a batch that a cut swallowed is confirmed by the next one.
"""

from __future__ import annotations

_CONFIRM_EVERY = 64 << 10
"""Bytes after which a receiver confirms at the latest: the sender's window may be smaller than its own."""


class SendWindow:
    """The sender's half."""

    __slots__ = ("_limit", "confirmed", "sent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.sent = 0
        self.confirmed = 0

    @property
    def is_open(self) -> bool:
        """Tell whether another batch may go; one batch may overshoot the limit."""
        return self.sent - self.confirmed < self._limit

    def send(self, size: int) -> None:
        """Count a batch of ``size`` bytes."""
        self.sent += size

    def confirm(self, total: int) -> None:
        """Take the receiver's word; a stale or impossible total changes nothing."""
        if self.confirmed < total <= self.sent:
            self.confirmed = total

    def reset(self) -> None:
        """Forget what is under way: the link it was on is gone."""
        self.confirmed = self.sent


class ReceiveWindow:
    """The receiver's half: when to confirm what."""

    __slots__ = ("_every", "_told", "total")

    def __init__(self, limit: int) -> None:
        self._every = min(limit // 4, _CONFIRM_EVERY)
        self.total = 0
        self._told = 0

    def receive(self, before: int, size: int) -> bool:
        """Count a batch; return whether it is time to confirm :attr:`total`."""
        self.total = before + size
        return abs(self.total - self._told) >= self._every

    def confirm(self) -> int:
        """Return the total to confirm and note that it was told."""
        self._told = self.total
        return self.total
