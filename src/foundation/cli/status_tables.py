"""The status of a cluster as tables for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from foundation.cli.child_table import children_table
from foundation.cli.node_report import NodeReport, totals
from foundation.distribution import ownership
from foundation.membership import Member, MemberStatus

_COLORS = {MemberStatus.UP: "green", MemberStatus.UNREACHABLE: "red", MemberStatus.DOWN: "red"}
_MOST_ROWS = 50


def print_status(cluster: str, reports: Sequence[NodeReport]) -> None:
    """Print a table of members, and what their processes are, are called and belong to."""
    Console().print(*_tables(cluster, reports), sep="\n")


class StatusScreen:
    """Shows the same again and again in the same place."""

    def __init__(self) -> None:
        self._live = Live(console=Console(), auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def show(self, cluster: str, reports: Sequence[NodeReport]) -> None:
        """Show what was found now."""
        tables = _tables(cluster, reports)
        if self._live.console.is_terminal:
            self._live.update(Group(*tables), refresh=True)
        else:
            self._live.console.print(*tables, sep="\n")


def _tables(cluster: str, reports: Sequence[NodeReport]) -> list[RenderableType]:
    tables: list[RenderableType] = [_members(cluster, reports)]
    if any(report.processes for report in reports):
        tables.append(_processes(reports))
    counts = totals(reports)
    if counts["names"]:
        tables.append(_names(reports))
    if counts["groups"]:
        tables.append(_groups(reports))
    if any(report.children for report in reports):
        tables.append(children_table(reports))
    up = sum(report.member.status is MemberStatus.UP for report in reports)
    tables.append(Text(f"children are {ownership(up)}"))
    tables.append(Text(", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in counts.items())))
    return tables


def _names(reports: Sequence[NodeReport]) -> Table:
    table = Table("name", "node", "process", title="names", title_justify="left")
    named = sorted(
        (name, report.member.name, str(process_id))
        for report in reports
        if report.holdings is not None
        for name, process_id in report.holdings.first_names.items()
    )
    for row in named[:_MOST_ROWS]:
        table.add_row(*map(Text, row))
    more = totals(reports)["names"] - min(len(named), _MOST_ROWS)
    if more:
        table.caption = f"and {more:,} more"
    return table


def _groups(reports: Sequence[NodeReport]) -> Table:
    table = Table("group", "scope", title="groups", title_justify="left")
    for column in ("members", "nodes"):
        table.add_column(column, justify="right")
    found: dict[tuple[str, str], list[int]] = {}
    for report in reports:
        for group in report.holdings.first_groups if report.holdings is not None else ():
            found.setdefault((group.group, group.scope), []).append(group.members)
    for (name, scope), members in sorted(found.items())[:_MOST_ROWS]:
        table.add_row(Text(name), Text(scope), str(sum(members)), str(len(members)))
    if len(found) > _MOST_ROWS:
        table.caption = f"and {len(found) - _MOST_ROWS:,} more"
    return table


def _members(cluster: str, reports: Sequence[NodeReport]) -> Table:
    table = Table("node", title=f"cluster {cluster}", title_justify="left")
    for column in ("status", "path"):
        table.add_column(column, no_wrap=True)
    for column in ("address", "version", "roles"):
        table.add_column(column, overflow="fold")
    table.add_column("processes", justify="right")
    table.add_column("names", justify="right")
    table.add_column("incarnation", justify="right")
    for report in reports:
        member = report.member
        table.add_row(
            Text(member.name),
            _condition(member),
            Text(report.path),
            Text("\n".join(member.addresses)),
            Text(member.version),
            Text(", ".join(member.roles)),
            Text("no answer", style="red") if report.processes is None else str(len(report.processes)),
            "" if report.holdings is None else f"{report.holdings.names:,}",
            str(member.incarnation),
        )
    return table


def _condition(member: Member) -> Text:
    if member.degraded:
        return Text(f"{member.status}, degraded", style="yellow")
    if member.draining:
        return Text(f"{member.status}, drained", style="yellow")
    return Text(member.status, style=_COLORS.get(member.status, "yellow"))


def _processes(reports: Sequence[NodeReport]) -> Table:
    table = Table("node", "process", "class", title="processes", title_justify="left")
    for column in ("mailbox", "handled", "uptime"):
        table.add_column(column, justify="right")
    now = time.time()
    for report in reports:
        for info in report.processes or ():
            uptime = timedelta(seconds=int(max(now - info.started_at, 0.0)))
            table.add_row(
                Text(report.member.name),
                Text(info.name or str(info.process_id)),
                Text(info.wire_name),
                str(info.mailbox_length),
                f"{info.handled:,}",
                str(uptime),
            )
    return table
