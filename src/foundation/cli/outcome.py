"""What came out of the demo, and what should have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_MOST_SHOWN = 5

Expect = Callable[[Sequence[Path]], Counter[str]]


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one node did."""

    name: str
    part: str
    """``hands out``, ``stayed``, ``left``, ``killed`` or ``joined``."""

    calls: int
    lines: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted, how fast, and whether it is right."""

    nodes: list[NodeShare]
    files: int
    lines: int
    words: int
    calls: int
    """Calls that were answered."""

    seconds: float
    p50_ms: float
    p99_ms: float
    gap_s: float | None
    """Seconds for which the counter of the node that was killed gave no answer; None without one."""

    differences: list[str]
    """Some of the counts that are wrong; none if all is well."""

    @property
    def calls_per_s(self) -> float:
        """Answered calls per second, over the whole count."""
        return self.calls / self.seconds if self.seconds else 0.0

    @property
    def verdict(self) -> str:
        """``OK``, or what differs."""
        return "; ".join(self.differences) or "OK"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        return asdict(self) | {"calls_per_s": self.calls_per_s, "verdict": self.verdict}


def count_alone(files: Sequence[Path]) -> Counter[str]:
    """Count the words of all files in this program, without a cluster: what the cluster must come to."""
    counts: Counter[str] = Counter()
    for file in files:
        counts.update(re.findall(r"\w+", file.read_text(encoding="utf-8", errors="replace")))
    return counts


def compare(counted: Mapping[str, int], expected: Mapping[str, int]) -> list[str]:
    """Name the first words whose counts differ, and say how many more there are."""
    wrong = sorted(word for word in counted.keys() | expected.keys() if counted.get(word) != expected.get(word))
    shown = [f"{w!r}: {counted.get(w, 0)} counted, {expected.get(w, 0)} expected" for w in wrong[:_MOST_SHOWN]]
    return [*shown, f"and {len(wrong) - _MOST_SHOWN} more"] if len(wrong) > _MOST_SHOWN else shown
