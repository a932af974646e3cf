"""Distributed children as a table for people: where each is, and why, or why it does not run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from foundation import ChildReport
from foundation.cli.node_report import NodeReport, totals

_MOST_ROWS = 50


def children_table(reports: Sequence[NodeReport]) -> Table:
    """Return a table of children: those that do not run first, the others by name."""
    table = Table("child", "node", "class", title="children", title_justify="left")
    for column in ("restarts", "mailbox", "state"):
        table.add_column(column, justify="right")
    table.add_column("why it is there, or not", overflow="fold")
    found = [(report, child) for report in reports for child in report.children or ()]
    found.sort(key=lambda pair: (pair[1].process_id is not None, pair[1].name))
    for report, child in found[:_MOST_ROWS]:
        mailbox, state = report.mailbox_length(child), child.state_bytes
        table.add_row(
            Text(child.name),
            _place(report, child),
            Text(child.wire_name),
            f"{child.restarts:,}",
            "" if mailbox is None else f"{mailbox:,}",
            "-" if state is None else f"{state:,} B",
            Text(child.why),
        )
    more = max(totals(reports)["children"], len(found)) - min(len(found), _MOST_ROWS)
    if more:
        table.caption = f"and {more:,} more"
    return table


def _place(report: NodeReport, child: ChildReport) -> Text:
    """Name the node; a child that has no process there, or whose home only looks for a place, does not run."""
    name = report.member.name
    return Text(name) if child.process_id is not None else Text(f"does not run; {name} sees to it", style="red")
