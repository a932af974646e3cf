"""The report as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.cli.doctor.finding import Finding, Verdict

_COLORS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.PROBLEM: "red"}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print a line for each finding, below it what to do, and at the end how many there are of each kind."""
    table = Table("check", title="foundation doctor", title_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("seen, and what to do", overflow="fold")
    before = ""
    for finding in findings:
        seen = Text(finding.seen)
        if finding.advice:
            seen.append(f"\n→ {finding.advice}", "bold")
        verdict = Text(finding.verdict, _COLORS[finding.verdict])
        table.add_row("" if finding.check == before else finding.check, verdict, seen)
        before = finding.check
    console = Console()
    console.print(table)
    counts = Counter(finding.verdict for finding in findings)
    console.print(Text(", ".join(f"{counts[verdict]} {_plural(verdict, counts[verdict])}" for verdict in Verdict)))


def _plural(verdict: Verdict, count: int) -> str:
    return verdict if verdict is Verdict.OK or count == 1 else f"{verdict}s"
