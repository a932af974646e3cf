"""The status of a cluster as tables for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from foundation.cli.node_report import NodeReport
from foundation.membership import Member, MemberStatus

_COLORS = {MemberStatus.UP: "green", MemberStatus.UNREACHABLE: "red", MemberStatus.DOWN: "red"}


def print_status(cluster: str, reports: Sequence[NodeReport]) -> None:
    """Print a table of members and one of their processes."""
    console = Console()
    console.print(_members(cluster, reports))
    if any(report.processes for report in reports):
        console.print(_processes(reports))


def _members(cluster: str, reports: Sequence[NodeReport]) -> Table:
    table = Table("node", "status", "path", title=f"cluster {cluster}", title_justify="left")
    for column in ("address", "version", "roles"):
        table.add_column(column, overflow="fold")
    table.add_column("processes", justify="right")
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
            str(member.incarnation),
        )
    return table


def _condition(member: Member) -> Text:
    if member.degraded:
        return Text(f"{member.status}, degraded", style="yellow")
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
