"""The demo on a terminal: a progress bar, and tables of what came out."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from foundation.cli.outcome import Outcome


class TerminalScreen:
    """Show the course of the demo above a progress bar; a context manager."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        columns = (TextColumn("counting words"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._bar = self._progress.add_task("count", total=1.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Show that something happened."""
        self._console.print(Text(text), soft_wrap=True)

    def progress(self, share: float) -> None:
        """Show how much has been counted, from 0 to 1."""
        self._progress.update(self._bar, completed=share)

    def show(self, outcome: Outcome) -> None:
        """Show what came out."""
        self._console.print(_nodes(outcome))
        self._console.print(_summary(outcome))


def _nodes(outcome: Outcome) -> Table:
    table = Table("node", "")
    table.add_column("calls", justify="right")
    table.add_column("lines", justify="right")
    for share in outcome.nodes:
        table.add_row(share.name, share.part, f"{share.calls:,}", f"{share.lines:,}")
    return table


def _summary(outcome: Outcome) -> Table:
    table = Table("", "", show_header=False)
    table.add_row("nodes", str(len(outcome.nodes)))
    table.add_row("files", f"{outcome.files:,}")
    table.add_row("lines", f"{outcome.lines:,}")
    table.add_row("words", f"{outcome.words:,}")
    table.add_row("calls", f"{outcome.calls:,} in {outcome.seconds:.1f} s")
    table.add_row("calls/s", f"{outcome.calls_per_s:,.0f}")
    table.add_row("a call takes", f"{outcome.p50_ms:.1f} ms (p50), {outcome.p99_ms:.1f} ms (p99)")
    if outcome.gap_s is not None:
        table.add_row("gap", f"{outcome.gap_s * 1000:,.0f} ms without an answer of the counter that was killed")
    style = "bold red" if outcome.differences else "bold green"
    table.add_row("counts", Text(outcome.verdict, style=style))
    return table
