"""Connect the parts of a node: what comes over the wire, and who comes and goes, reaches each whom it concerns."""

from __future__ import annotations

from dataclasses import dataclass

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.distribution import Distribution
from foundation.fabric import Fabric
from foundation.membership import (
    MemberDown,
    MemberEvent,
    MemberJoining,
    MemberLeaving,
    MemberLeft,
    MemberReachable,
    Membership,
    MemberUnreachable,
    MemberUp,
)
from foundation.processes import Host
from foundation.registry import CLERK_SERIAL, Clerk, GroupTable, NameLoss, Names, PresenceTable
from foundation.replication import Replication

_OF_REPLICATION = {Channel.STATE, Channel.COPIES}


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts that have to do with other nodes."""

    fabric: Fabric
    membership: Membership
    host: Host
    replication: Replication
    names: Names
    groups: GroupTable
    presence: PresenceTable
    distribution: Distribution

    def connect(self) -> None:
        """Connect them; to be done before they are started."""
        self.fabric.peers.receive = self._receive
        self.fabric.peers.session_ended = self._session_ended
        self.membership.gone = self.host.node_down
        self.membership.watchers += [self._happened, self.distribution.happened]
        self.membership.view_changed = self._view_changed
        self.host.names = self.names
        self.host.ended.append(lambda serial, _: self.groups.release(serial))
        self.host.ended.append(lambda serial, _: self.presence.release(serial))
        self.host.build_in(CLERK_SERIAL, Clerk(self.host, self.names, self.groups, self.presence))
        NameLoss(self.host, self.names)
        self.host.stuck = self.fabric.tell_stuck

    def _receive(self, node: NodeId, frames: bytes | memoryview, channel: Channel) -> None:
        part = self.replication if channel in _OF_REPLICATION else self.host
        part.receive(node, frames, channel)

    def _session_ended(self, node: NodeId) -> None:
        self.host.node_down(node)
        if node in self.replication.present:
            self.replication.came(node)

    def _happened(self, event: MemberEvent) -> None:
        node = event.member.node_id
        match event:
            case MemberJoining() | MemberUp() | MemberLeaving() | MemberReachable():
                if node not in self.replication.present:
                    self.replication.came(node)
                self.names.show(node)
                self.groups.show(node)
                self.presence.show(node)
            case MemberUnreachable():
                self.replication.went(node)
                self.groups.suspect(node)
                self.presence.hide(node)
            case MemberDown():
                self._hide(node)
                self.replication.lost(node)
            case MemberLeft():
                self.host.node_left(node)
                self._hide(node)
                if self.names.children.has_any(node):  # not handed over, or terminated, which is not to be unlearnt
                    self.replication.lost(node)
                else:
                    self.replication.left(node)
            case _:
                pass

    def _view_changed(self, roster: Roster) -> None:
        self.names.enter(roster)
        self.distribution.look()

    def _hide(self, node: NodeId) -> None:
        self.names.hide(node)
        self.groups.hide(node)
        self.presence.hide(node)
