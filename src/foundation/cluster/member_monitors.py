"""Who watches which member, to know when its node ends."""

from __future__ import annotations

import asyncio
from functools import partial

from foundation.core.identity import NodeId
from foundation.membership import MemberDown, MemberEvent, MemberLeft, Membership
from foundation.processes import Cancel, Ended, EndReason, Tell


class MemberMonitors:
    """Tell, once each, when a member is down or has left."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._tells: dict[NodeId, dict[int, Tell]] = {}
        self._last = 0
        membership.watchers.append(self._happened)

    def __len__(self) -> int:
        """Count the members that are watched."""
        return len(self._tells)

    def watch(self, node: NodeId, tell: Tell) -> Cancel:
        """Have the end of a node told, never within this call; at once when it is no member."""
        self._last = number = self._last + 1
        self._tells.setdefault(node, {})[number] = tell
        if self._membership.member(node) is None:
            asyncio.get_running_loop().call_soon(self._end, node, EndReason.NODE_DOWN)
        return partial(self._leave, node, number)

    def close(self) -> None:
        """Let everybody know that this node stops."""
        watched, self._tells = self._tells, {}
        for tells in watched.values():
            for tell in tells.values():
                tell(None)

    def _leave(self, node: NodeId, number: int) -> None:
        tells = self._tells.get(node, {})
        if tells.pop(number, None) is not None and not tells:
            del self._tells[node]

    def _happened(self, event: MemberEvent) -> None:
        if isinstance(event, MemberDown | MemberLeft):
            reason = EndReason.NODE_LEFT if isinstance(event, MemberLeft) else EndReason.NODE_DOWN
            self._end(event.member.node_id, reason)

    def _end(self, node: NodeId, reason: EndReason) -> None:
        for tell in self._tells.pop(node, {}).values():
            tell(Ended(node, None, reason))
