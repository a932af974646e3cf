"""What the benchmarks print for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

console = Console()


def show(title: str, figures: Mapping[str, float]) -> None:
    """Print figures by their names."""
    table = Table(title=title)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    console.print(table)
