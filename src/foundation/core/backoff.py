"""How long to wait before trying again: exponential, with jitter, without end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow from ``first_s`` by ``factor`` up to ``most_s``.

    A larger ``jitter`` spreads many nodes that fail at the same instant further apart.
    """

    first_s: float = 0.1
    """Seconds before the second try; less retries sooner, more spares the other side."""

    most_s: float = 30.0
    """Seconds that no delay exceeds; less notices a recovery sooner."""

    factor: float = 2.0
    """Growth from one delay to the next."""

    jitter: float = 0.2
    """Share of the delay that chance may add or take away, 0 to 1."""

    def delay_s(self, failures: int, chance: float) -> float:
        """Return the seconds to wait after ``failures`` failures in a row (1 is the first).

        ``chance`` is a number from 0 to 1 that the caller drew; the same number gives the same delay.
        """
        exponent = min(max(failures, 1) - 1, 64)
        middle_s = min(self.first_s * self.factor**exponent, self.most_s / (1 + self.jitter))
        return min(middle_s * (1 + self.jitter * (2 * chance - 1)), self.most_s)
