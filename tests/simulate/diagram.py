"""What each node is told about the others, held against the diagram of a member's stations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from foundation.membership import (
    MemberDown,
    MemberEvent,
    MemberStatus,
    MemberUnreachable,
    MemberUpdated,
)
from foundation.testing import SimulatedNode
from foundation.testing.simulation.scheduler import START_S
from tests.membership.diagram import BEFORE, ENTERED, LEFT
from tests.simulate.connections import Connections
from tests.simulate.ledger import Ledger

_NEWS_S = 25.0
"""How long two nodes must have been connected, directly or over others, until neither may call the other down: the
lease, some tries to meet, the time until somebody is given up, and what news take."""


class Witness:
    """Gets every event of one node's membership when it happens, and writes down what may not happen."""

    def __init__(self, node: SimulatedNode, ledger: Ledger, connections: Connections) -> None:
        self._node = node
        self._loop = node.host.loop
        self._name, self._me = node.name, node.node_id
        self._ledger = ledger
        self._connections = connections
        known = [member for member in node.cluster.members() if member.node_id != self._me]
        self._stations: dict[str, MemberStatus] = {member.node_id: member.status for member in known}
        self._incarnations = {member.node_id: member.incarnation for member in known}
        parts: Any = node.cluster._parts
        parts.membership.events._streams.append(self)
        self._membership_gone = parts.membership.gone
        parts.membership.gone = self._gone

    def put(self, event: MemberEvent) -> None:
        """Take an event, as a stream of events does."""
        node, incarnation = event.member.node_id, event.member.incarnation
        before, known = self._stations.get(node), self._incarnations.get(node, 0)
        returns = type(event) in ENTERED and incarnation > known and before is not LEFT
        if not returns and before not in BEFORE[type(event)]:
            self._ledger.complain("event_order", f"{self._name}: {_told(event)} came after {before or 'nothing'}")
        if incarnation < known:
            self._ledger.complain("event_order", f"{self._name}: {_told(event)} came after incarnation {known}")
        if not isinstance(event, MemberUpdated):
            self._stations[node] = event.member.status
        self._incarnations[node] = incarnation
        if isinstance(event, MemberDown):
            self._judge(event)
        if isinstance(event, MemberUnreachable) and self._me in self._ledger.saw_off.get(node, ()):
            self._ledger.complain("left_is_told", f"{self._name}: {_told(event)}, who left in order, in its sight")

    async def leaving(self, leave: Callable[[SimulatedNode], Awaitable[None]]) -> None:
        """Let the node leave, and note who must have heard of it: whoever was and is connected to it all the time."""
        began = self._loop.time() - START_S
        self._connections.look()
        near = self._connections.direct(self._me, began - _NEWS_S)
        self._ledger.saw_off[self._me] = near
        await leave(self._node)
        self._connections.look()

    def end(self) -> None:
        """Take that the node has stopped."""

    def _gone(self, node: str) -> None:
        self._ledger.parted.add((self._me, node))
        self._membership_gone(node)

    def _judge(self, event: MemberDown) -> None:
        member = event.member
        self._connections.look()
        path = self._connections.path(self._me, member.node_id, self._loop.time() - START_S - _NEWS_S)
        if path is not None:
            way = " - ".join(node[:6] for node in path)
            text = f"{self._name} called {member.name} ({member.node_id[:6]}) down ({event.reason}), though {way}"
            self._ledger.complain("down_is_true", f"{text} were connected for {_NEWS_S} s")


def _told(event: MemberEvent) -> str:
    return f"{type(event).__name__} of {event.member.name} ({event.member.node_id[:6]}, {event.member.incarnation})"
