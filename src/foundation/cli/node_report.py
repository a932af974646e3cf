"""What ``foundation status`` learns of one member."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from foundation import ChildReport, Member, ProcessInfo
from foundation.registry import Holdings


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What is known of one member."""

    member: Member
    path: str
    """How the node that asked reaches it, in the words of ``ClusterInfo.paths``."""

    processes: list[ProcessInfo] | None
    """What it runs, or None when it did not answer."""

    holdings: Holdings | None = None
    """Which names and groups its processes have, or None when it did not say."""

    children: list[ChildReport] | None = None
    """Which distributed children it holds, and which it is to find a place for."""

    def mailbox_length(self, child: ChildReport) -> int | None:
        """Return how many messages wait for a child that runs there."""
        lengths = (info.mailbox_length for info in self.processes or () if info.process_id == child.process_id)
        return next(lengths, None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        member = self.member
        return {
            "name": member.name,
            "node": member.node_id,
            "status": str(member.status),
            "degraded": member.degraded,
            "drained": member.draining,
            "path": self.path,
            "addresses": list(member.addresses),
            "version": member.version,
            "roles": list(member.roles),
            "incarnation": member.incarnation,
            "processes": None if self.processes is None else [_process(info) for info in self.processes],
            **_holdings(self.holdings),
            "children": None if self.children is None else [self._child(child) for child in self.children],
        }

    def _child(self, child: ChildReport) -> dict[str, Any]:
        return {
            "name": child.name,
            "class": child.wire_name,
            "process": None if child.process_id is None else str(child.process_id),
            "restarts": child.restarts,
            "mailbox": self.mailbox_length(child),
            "state_bytes": child.state_bytes,
            "why": child.why,
        }


def _holdings(holdings: Holdings | None) -> dict[str, Any]:
    if holdings is None:
        return dict.fromkeys(("name_count", "names", "group_count", "groups", "presence_count"))
    return {
        "name_count": holdings.names,
        "names": {name: str(process_id) for name, process_id in holdings.first_names.items()},
        "group_count": holdings.groups,
        "groups": [msgspec.to_builtins(group) for group in holdings.first_groups],
        "presence_count": holdings.presences,
    }


def totals(reports: Sequence[NodeReport]) -> dict[str, int]:
    """Sum up what the nodes say: names, groups, memberships of processes in groups, presences, children."""
    said = [report.holdings for report in reports if report.holdings is not None]
    counts = [group for holdings in said for group in holdings.first_groups]
    return {
        "names": sum(holdings.names for holdings in said),
        "groups": len({(group.scope, group.group) for group in counts}),
        "group_members": sum(group.members for group in counts),
        "presences": sum(holdings.presences for holdings in said),
        "children": sum(holdings.children for holdings in said),
    }


def _process(info: ProcessInfo) -> dict[str, Any]:
    return {
        "id": str(info.process_id),
        "name": info.name,
        "class": info.wire_name,
        "mailbox": info.mailbox_length,
        "handled": info.handled,
        "uptime_s": round(max(time.time() - info.started_at, 0.0), 3),
    }
