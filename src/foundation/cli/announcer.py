"""What a node prints: a line when it is ready, and a line per event."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from foundation.cluster import Cluster
from foundation.core.events import EventStream
from foundation.membership import MemberEvent, MemberUpdated


class Announcer:
    """Print for people, or as JSON Lines for programs: ``ready``, then ``up``, ``left``, ``down`` ..., ``stopped``."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def ready(self, cluster: Cluster) -> None:
        """Say that the node takes part, and with whom."""
        others = [member.name for member in cluster.members() if member.node_id != cluster.node.node_id]
        company = f"with {', '.join(others)}" if others else "alone so far"
        self._print(
            f"{cluster.name} is ready at {cluster.address} in cluster {cluster.config.cluster_name!r}, {company}",
            event="ready",
            name=cluster.name,
            node=cluster.node.node_id,
            address=cluster.address,
            cluster=cluster.config.cluster_name,
            members=others,
        )

    async def follow(self, events: EventStream[MemberEvent]) -> None:
        """Print the events of other members, but what they say anew about themselves to programs only."""
        async for event in events:
            if self._as_json or not isinstance(event, MemberUpdated):
                kind = type(event).__name__.removeprefix("Member").lower()
                member = event.member
                self._print(
                    str(event),
                    event=kind,
                    name=member.name,
                    node=member.node_id,
                    incarnation=member.incarnation,
                    reason=getattr(event, "reason", ""),
                )

    def left(self) -> None:
        """Say that the node has left."""
        self._print("left", event="stopped")

    def _print(self, text: str, **facts: Any) -> None:  # noqa: ANN401 - what JSON can hold
        try:
            print(json.dumps(facts) if self._as_json else text, flush=True)
        except BrokenPipeError:  # nobody reads any more, and that is no reason to leave
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
