"""What the way from one host to another is like at the moment."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_MOST_LOSSES = 5
"""How often one packet is lost in a row. More would hold up all behind it for minutes, also once nothing is lost any
more, where real links give up and are made anew."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a packet takes: a part that is always the same, and one drawn for each packet (exponential)."""

    least_s: float = 0.000_2
    """Seconds that every packet takes."""

    mean_extra_s: float = 0.000_1
    """Mean of the seconds that are added to it by chance; more makes more orders of events possible."""

    def draw(self, chance: random.Random) -> float:
        """Draw how long one packet takes."""
        return self.least_s + (chance.expovariate(1 / self.mean_extra_s) if self.mean_extra_s else 0.0)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What the network of a simulation is like; the defaults are those of a quick local network and of Linux."""

    latency: Latency = field(default_factory=Latency)
    """Between two hosts for which nothing else was said."""

    window_bytes: int = 128 << 10
    """Bytes under way or not yet read, for one direction of a connection; more waits at the sender."""

    segment_bytes: int = 16 << 10
    """Bytes that travel as one at most. Less makes more steps, and more places where a message is cut in two."""

    first_retry_s: float = 0.2
    """Seconds until what was lost is sent again; each further time it takes twice as long."""

    longest_retry_s: float = 120.0
    """Seconds between two attempts at most, so also the longest that a healed connection may stay silent."""

    give_up_s: float = 900.0
    """Seconds for which bytes may stay unacknowledged before their sender gives the connection up."""

    connect_retries: int = 6
    """How often a request to connect is repeated, the first time after a second, then after twice as long each time."""


@dataclass(slots=True)
class Way:
    """From one host to another; the way back is another one."""

    latency: Latency
    extra_s: float = 0.0
    drop_rate: float = 0.0
    is_cut: bool = False
    is_held: bool = False

    @property
    def passes(self) -> bool:
        """Tell whether a packet that sets out now arrives."""
        return not (self.is_cut or self.is_held)

    def travel_s(self, chance: random.Random, first_retry_s: float) -> float:
        """Draw how long a packet takes, with the time that TCP needs to notice each loss."""
        seconds, retry_s = self.latency.draw(chance) + self.extra_s, first_retry_s
        for _ in range(_MOST_LOSSES if self.drop_rate else 0):
            if chance.random() >= self.drop_rate:
                break
            seconds += retry_s
            retry_s *= 2
        return seconds
