"""What a check saw, what it makes of it, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """A node runs, with less than it could have."""

    PROBLEM = "problem"
    """A node does not start, or does not find or reach others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    verdict: Verdict
    seen: str
    advice: str = ""
    check: str = ""
    """Which check it comes from."""

    def as_dict(self) -> dict[str, str]:
        """Return plain values, as for JSON."""
        return asdict(self)


def ok(seen: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, seen)


def warning(seen: str, advice: str) -> Finding:
    """It could be better."""
    return Finding(Verdict.WARNING, seen, advice)


def problem(seen: str, advice: str) -> Finding:
    """It does not do."""
    return Finding(Verdict.PROBLEM, seen, advice)


def bad(seen: str, advice: str, *, matters: bool) -> Finding:
    """Return a problem if it matters to what is configured, else a warning."""
    return problem(seen, advice) if matters else warning(seen, advice)
