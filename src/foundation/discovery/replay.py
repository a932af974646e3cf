"""Tell fresh packets from repeated ones: a sliding window for each sender, as IPsec has it (RFC 6479), and clocks.

A packet is fresh when its time is near that of the reader, its sender's start is no earlier than the one known, and its
number was not seen in this life of the sender. What is known of a sender is kept for so long that every packet
which the clocks would let pass is remembered, hence no packet is taken twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

WINDOW = 64
MOST_SENDERS = 10_000
_ALL = (1 << WINDOW) - 1


class Verdict(Enum):
    """What a packet is."""

    FRESH = "fresh"
    REPLAYED = "replayed"
    """Seen before, too far behind the newest number, or of an earlier life of its sender."""
    UNTIMELY = "untimely"
    """Its time is too far from ours: an old packet, or the clock of one of us is wrong."""
    UNKNOWN = "unknown"
    """Its sender is not known, and there is no room for one more."""


@dataclass(slots=True)
class _Sender:
    started_ns: int
    highest: int
    seen: int
    """Bit n tells whether the number ``highest - n`` was seen."""
    forget_at_s: float


class ReplayGuard:
    """Remember which packets were taken from whom."""

    def __init__(self, most_difference_s: float, most_senders: int = MOST_SENDERS) -> None:
        """Refuse packets whose time is more than ``most_difference_s`` seconds from ours, in either direction."""
        self._most_difference_s = most_difference_s
        self._most_senders = most_senders
        self._senders: dict[str, _Sender] = {}

    def __len__(self) -> int:
        """Count the senders that are remembered."""
        return len(self._senders)

    def judge(self, sender: str, started_ns: int, number: int, sent_s: float, now_s: float) -> Verdict:
        """Take the packet if it is fresh. ``now_s`` and ``sent_s`` are seconds since 1970, on the clocks of each."""
        if not abs(now_s - sent_s) <= self._most_difference_s:  # also what is not a number
            return Verdict.UNTIMELY
        known = self._senders.get(sender)
        if known is None:
            self._make_room(now_s)
            if len(self._senders) >= self._most_senders:
                return Verdict.UNKNOWN
        if known is None or started_ns > known.started_ns:
            self._senders[sender] = _Sender(started_ns, number, 1, self._forget_at(now_s))
            return Verdict.FRESH
        if started_ns < known.started_ns or not _advance(known, number):
            return Verdict.REPLAYED
        known.forget_at_s = self._forget_at(now_s)
        return Verdict.FRESH

    def close(self, sender: str) -> None:
        """Take nothing more of this life of a sender, not even what was late."""
        if (known := self._senders.get(sender)) is not None:
            known.highest, known.seen = 1 << 64, _ALL

    def _forget_at(self, now_s: float) -> float:
        # A packet taken now may be timely until both differences have passed; a repeated one is refused for longer.
        return now_s + 2 * self._most_difference_s + 1

    def _make_room(self, now_s: float) -> None:
        if len(self._senders) >= self._most_senders:
            self._senders = {name: known for name, known in self._senders.items() if known.forget_at_s > now_s}


def _advance(sender: _Sender, number: int) -> bool:
    """Move the window on to ``number``; false if that was seen or is left behind."""
    ahead = number - sender.highest
    if ahead > 0:
        sender.seen = ((sender.seen << ahead) | 1) & _ALL if ahead < WINDOW else 1
        sender.highest = number
        return True
    bit = 1 << -ahead if ahead > -WINDOW else 0
    if not bit or sender.seen & bit:
        return False
    sender.seen |= bit
    return True
