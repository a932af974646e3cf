"""Whom a strategy found, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.cli.looking import Found


def print_found(strategy: str, found: Sequence[Found]) -> None:
    """Print a line for each."""
    table = Table(title=f"found by {strategy}", title_justify="left")
    for column in ("address", "node", "name", "door"):
        table.add_column(column, overflow="fold")
    for each in found:
        color = "green" if each.answers else "red"
        texts = ("\n".join(each.peer.addresses), each.node or "", each.name or "")
        table.add_row(*map(Text, texts), Text(each.door, color))
    Console().print(table)
