"""What a node answers to an orchestrator over plain HTTP: is it alive, is it ready, and its figures.

``/health/live``: 200 as long as the node works at all; who gets 503, or nothing, restarts it.
``/health/ready``: 200 while it takes part, together with as many as it is to have; else 503, which says why.
``/metrics``: figures as text of Prometheus (exposition format 0.0.4).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import msgspec

from foundation.cluster.assembly import Parts
from foundation.config import Config
from foundation.errors import FabricLostError
from foundation.membership import MemberStatus

_JSON, _TEXT = b"application/json", b"text/plain; version=0.0.4; charset=utf-8"


class Probes:
    """The answers of one node, whatever carries them."""

    def __init__(self, parts: Parts, config: Config) -> None:
        self._parts = parts
        self._config = config
        self.has_begun = False
        """Whether the start is over, with as many nodes as it takes."""

    def answer(self, path: str) -> tuple[int, bytes, bytes]:
        """Return status, type and content for a path."""
        match path:
            case "/health/live":
                return _verdict(self.why_not_alive())
            case "/health/ready":
                return _verdict(self.why_not_alive() or self.why_not_ready())
            case "/metrics":
                return 200, _TEXT, self.metrics().encode()
            case _:
                return 404, _JSON, msgspec.json.encode({"paths": ["/health/live", "/health/ready", "/metrics"]})

    def why_not_alive(self) -> str:
        """Return what is wrong with this node itself; nothing, as long as it works."""
        try:
            self._parts.fabric.raise_if_lost()
        except FabricLostError as error:
            return str(error)
        return ""

    def why_not_ready(self) -> str:
        """Return why this node is to get no work from outside."""
        status = self._parts.membership.me.status
        if status is not MemberStatus.UP:
            return f"this node is {status}"
        if not self.has_begun:
            return self.why_not_begin() or "this node begins"
        return self._why_too_few()

    def why_not_begin(self) -> str:
        """Return why the start of this node has to wait."""
        found, up = self._parts.discovery.most_found(), members_up(self._parts)
        if (why := self._why_too_few()) or not self._config.majority_of_found:
            return why
        if found is None:
            return f"{', '.join(self._config.strategy_names)} could not be asked yet, and others may be there"
        return "" if 2 * up > found + 1 else f"{up} of {found + 1} nodes are up, which is not more than half"

    def _why_too_few(self) -> str:
        up, wanted = members_up(self._parts), self._config.min_members
        return f"{up} of at least {wanted} members are up" if up < wanted else ""

    def metrics(self) -> str:
        """Return the figures of this node."""
        members = Counter(str(member.status) for member in self._parts.membership.members())
        lines = ["# HELP foundation_members Members, as this node sees them.", "# TYPE foundation_members gauge"]
        lines += [f'foundation_members{{status="{status}"}} {members[status]}' for status in sorted(MemberStatus)]
        for name, count in asdict(self._parts.fabric.counters).items():
            lines += [f"# TYPE foundation_{name}_total counter", f"foundation_{name}_total {count}"]
        return "\n".join(lines) + "\n"


def members_up(parts: Parts) -> int:
    """Count the members that are up, this node among them."""
    return sum(member.status is MemberStatus.UP for member in parts.membership.members())


def _verdict(why_not: str) -> tuple[int, bytes, bytes]:
    body = {"status": "failing", "reason": why_not} if why_not else {"status": "ok"}
    return (503 if why_not else 200), _JSON, msgspec.json.encode(body)
