"""How a run went, as text for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from foundation.testing.schedules.steps import Schedule

_LAST_EVENTS = 30
_CHATTER = (" connecting", " connected", " failed: Connection refused", " listens at", "given up: nothing was")


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One line of a transcript."""

    at_s: float
    node: str
    text: str

    @property
    def is_chatter(self) -> bool:
        """Tell whether it is only of interest to whom the network itself is."""
        return any(word in self.text for word in _CHATTER)


class Outcome(msgspec.Struct, frozen=True):
    """What came of one run."""

    schedule: Schedule
    digest: str
    """Of everything that happened, down to each packet: equal for equal runs."""

    took_s: float
    """Virtual time."""

    happened: dict[str, int]
    """How often each fault and operation happened; and, behind a colon, how often an operation ended how."""

    events: tuple[Event, ...]
    invariant: str = ""
    """Which one did not hold; empty when all did."""

    text: str = ""
    """How it did not."""

    @property
    def failed(self) -> bool:
        """Tell whether something did not hold."""
        return bool(self.invariant)

    def __str__(self) -> str:
        """Print the steps, the last events, and what did not hold."""
        return self.report()

    def report(self, *, events: int | None = _LAST_EVENTS) -> str:
        """Print it with so many of its last events, the connections of the network left out; None: with everything."""
        shown = list(self.events) if events is None else [e for e in self.events if not e.is_chatter][-events:]
        parts = ["steps:", _indented(str(self.schedule)), "events:", _indented(_table(shown))]
        verdict = f"VIOLATED {self.invariant}: {self.text}" if self.failed else "everything held"
        return "\n".join([*parts, f"{verdict}\nat {self.took_s:.3f} s, digest {self.digest}"])


def _table(events: Iterable[Event]) -> str:
    rows = list(events)
    width = max((len(event.node) for event in rows), default=0)
    return "\n".join(f"{event.at_s:11.4f}  {event.node:<{width}}  {event.text}" for event in rows)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
