"""What ``foundation status`` learns of one member."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from foundation import Member, ProcessInfo


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What is known of one member."""

    member: Member
    path: str
    """How the node that asked reaches it, in the words of ``ClusterInfo.paths``."""

    processes: list[ProcessInfo] | None
    """What it runs, or None when it did not answer."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        member = self.member
        return {
            "name": member.name,
            "node": member.node_id,
            "status": str(member.status),
            "degraded": member.degraded,
            "path": self.path,
            "addresses": list(member.addresses),
            "version": member.version,
            "roles": list(member.roles),
            "incarnation": member.incarnation,
            "processes": None if self.processes is None else [_process(info) for info in self.processes],
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
