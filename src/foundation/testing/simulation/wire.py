"""What all simulated connections share: time, chance, the ways between hosts, and the list of what waits for a way."""

from __future__ import annotations

import random
from typing import Protocol

from foundation.testing.simulation.links import Latency, NetworkOptions, Way
from foundation.testing.simulation.scheduler import Scheduler
from foundation.testing.simulation.transcript import Transcript
from foundation.testing.simulation.turns import Timer

_WITHIN_A_HOST = Latency(0.000_02, 0.0)


class Stalled(Protocol):
    """Something that could not set out."""

    def flush(self) -> None:
        """Try again now."""
        ...


class Wire:
    """The ways between hosts. A way is told by the addresses of its two ends."""

    def __init__(self, scheduler: Scheduler, transcript: Transcript, options: NetworkOptions) -> None:
        self.scheduler = scheduler
        self.options = options
        self.chance: random.Random = scheduler.chance("network")
        self.down: set[str] = set()
        """Addresses of crashed machines: nothing comes from them and nobody answers there."""
        self.stalled: dict[Stalled, None] = {}
        self.names: dict[str, str] = {}
        """What hosts are called, by address."""
        self._transcript = transcript
        self._ways: dict[tuple[str, str], Way] = {}
        self._between, self._within = Way(options.latency), Way(_WITHIN_A_HOST)
        """All those that nobody has changed."""

    def way(self, source: str, target: str) -> Way:
        """Return the way from one host to another, to change it."""
        if (way := self._ways.get((source, target))) is None:
            latency = _WITHIN_A_HOST if source == target else self.options.latency
            way = self._ways[source, target] = Way(latency)
        return way

    def ways(self) -> list[Way]:
        """Return all ways that were ever to be changed."""
        return list(self._ways.values())

    def passes(self, source: str, target: str) -> bool:
        """Tell whether what sets out now arrives."""
        return self._look(source, target).passes and source not in self.down and target not in self.down

    def travel_s(self, source: str, target: str) -> float:
        """Draw how long a packet takes."""
        return self._look(source, target).travel_s(self.chance, self.options.first_retry_s)

    def _look(self, source: str, target: str) -> Way:
        return self._ways.get((source, target)) or (self._within if source == target else self._between)

    def note(self, address: str, text: str) -> None:
        """Write a line into the transcript, in the name of a host."""
        self._transcript.note(self.scheduler.elapsed_s, self.names.get(address, address), text)

    def mix(self, address: str, text: str) -> None:
        """Have something counted in the digest of the run alone."""
        self._transcript.mix(self.scheduler.elapsed_s, self.names.get(address, address), text)


def cancel(timer: Timer | None) -> None:
    """Cancel a timer, if there is one."""
    if timer is not None:
        timer.cancel()
