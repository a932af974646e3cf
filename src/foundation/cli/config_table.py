"""The configuration as a table for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.config.explanation import Explained
from foundation.config.keys import HIDDEN


def print_values(rows: Sequence[Explained], file: Path | None, profile: str) -> None:
    """Print a line for each value; what is not a default stands out."""
    table = Table("key", "value", "from", title=f"{file or 'no file'}, profile {profile}", title_justify="left")
    for row in rows:
        style = "dim" if row.source == "default" else "bold"
        table.add_row(*(Text(text, style, overflow="fold") for text in (row.key, _written(row.value), row.place)))
    Console().print(table)


def _written(value: Any) -> str:  # noqa: ANN401 - any value of the configuration
    """Write a value as in TOML, as far as a reader can tell."""
    if value is None:
        return "none"
    return HIDDEN if value == HIDDEN else json.dumps(value, ensure_ascii=False)
