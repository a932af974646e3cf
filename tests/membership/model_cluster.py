"""Views of several nodes wired to a model of the network: links, lost links, late words, kills and returns.

A node's word travels to each neighbor on its own, in order, and arrives when :meth:`ModelCluster.deliver` says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.core.sources import new_node_id
from foundation.membership.events import (
    MemberEvent,
    MemberUpdated,
)
from foundation.membership.member import Facts, MemberStatus
from foundation.membership.options import MembershipOptions
from foundation.membership.view import IN_TOUCH, View
from tests.membership.diagram import BEFORE, ENTERED, LEAVING, LEFT, UP

OPTIONS = MembershipOptions(down_after_s=10, retention_s=600, stall_s=2)


@dataclass
class ModelNode:
    """One node: its view, what it says, and the events it saw."""

    name: str
    now: Callable[[], float]
    options: MembershipOptions
    id: NodeId = field(default_factory=new_node_id)
    status: MemberStatus = UP
    observer: bool = False
    is_alive: bool = True
    events: list[MemberEvent] = field(default_factory=list[MemberEvent])
    stations: dict[NodeId, MemberStatus] = field(default_factory=dict[NodeId, MemberStatus])
    incarnations: dict[NodeId, int] = field(default_factory=dict[NodeId, int])
    said: Facts | None = None
    roster: Roster = field(default_factory=Roster)

    def __post_init__(self) -> None:
        self.view = View(self.id, self.options)

    @property
    def addresses(self) -> tuple[str, ...]:
        return (f"{self.name}.example:1",)

    def facts(self) -> Facts:
        return Facts(
            self.name,
            self.status,
            self.view.incarnation,
            self.addresses,
            observer=self.observer,
            unreachable=self.view.suspicions(),
            gone=self.view.farewells(),
        )

    def note(self, events: list[MemberEvent]) -> None:
        """Take the events of the view and check that none comes where the diagram has no arrow."""
        for event in events:
            node, incarnation = event.member.node_id, event.member.incarnation
            before, known = self.stations.get(node), self.incarnations.get(node, 0)
            returns = type(event) in ENTERED and incarnation > known and before is not LEFT
            assert returns or before in BEFORE[type(event)], f"{self.name}: {event!r} came after {before}"
            assert incarnation >= known, f"{self.name}: {event!r} came after incarnation {known}"
            if not isinstance(event, MemberUpdated):
                self.stations[node] = event.member.status
            self.incarnations[node] = incarnation
        self.events += events
        ids = [member.node_id for member in self.view.members()]
        assert len(ids) == len(set(ids))
        assert self.id not in ids
        for member in self.view.members():
            assert self.stations[member.node_id] is member.status, f"{self.name}: no event told of {member!r}"
        self._check_roster()

    def _check_roster(self) -> None:
        """See that the roster, which is told what has changed, says the same as one made of all that is known."""
        self.view.tell_in_touch(self.roster)
        records = self.view._records.items()
        members = {
            node: record
            for node, record in records
            if record.facts.status in IN_TOUCH and (record.is_present or record.agreed_since is None)
        }
        leaving = {node for node, record in members.items() if record.facts.status is LEAVING}
        new = Roster([(node, record.member.incarnation) for node, record in members.items()], leaving)
        assert (set(self.roster), self.roster.number) == (set(new), new.number)

    def story(self, about: ModelNode) -> list[str]:
        """Name the events about one node, in order."""
        told = [event for event in self.events if event.member.node_id == about.id]
        return [type(event).__name__.removeprefix("Member").lower() for event in told]

    def sees(self, other: ModelNode) -> MemberStatus | None:
        member = self.view.member(other.id)
        return member.status if member else None


class ModelCluster:
    """The nodes, the links between them and the words on their way."""

    def __init__(self, *names: str, options: MembershipOptions = OPTIONS) -> None:
        self.now = 100.0
        self.options = options
        self.nodes: list[ModelNode] = []
        self.links: set[frozenset[NodeId]] = set()
        self.cuts: set[frozenset[NodeId]] = set()
        self.mail: dict[tuple[NodeId, NodeId], deque[Facts | None]] = {}
        for name in names:
            self.start(name)
        self.settle()

    # --- what happens ----------------------------------------------------------------------------------------

    def start(
        self, name: str, status: MemberStatus = UP, *, observer: bool = False, apart_from: Sequence[ModelNode] = ()
    ) -> ModelNode:
        node = ModelNode(name, lambda: self.now, self.options, status=status, observer=observer)
        self.cuts |= {frozenset((node.id, other.id)) for other in apart_from}
        self.nodes.append(node)
        node.said = node.facts()
        for other in self.living():
            self.link(node, other)
        return node

    def kill(self, node: ModelNode) -> None:
        """End a process; its host goes on and refuses."""
        node.is_alive = False
        for other in self.living():
            self.unlink(node, other)

    def restart(self, node: ModelNode) -> ModelNode:
        self.kill(node)
        return self.start(node.name)

    def become(self, node: ModelNode, status: MemberStatus) -> None:
        node.status = status
        self.say(node)

    def leave(self, node: ModelNode) -> None:
        """Leave as a node should: say so, then go."""
        self.become(node, LEAVING)
        self.settle()
        self.kill(node)

    def cut(self, one: ModelNode, other: ModelNode) -> None:
        self.cuts.add(frozenset((one.id, other.id)))
        self.unlink(one, other)

    def separate(self, side: list[ModelNode], other_side: list[ModelNode]) -> None:
        for one in side:
            for other in other_side:
                self.cut(one, other)

    def heal(self, one: ModelNode, other: ModelNode) -> None:
        self.cuts.discard(frozenset((one.id, other.id)))
        self.link(one, other)

    def heal_all(self) -> None:
        self.cuts.clear()
        for one in self.living():
            for other in self.living():
                self.link(one, other)

    def tick(self) -> None:
        self.now += 0.5
        for node in self.living():
            self.told(node, node.view.tick(self.now))

    def dial(self) -> None:
        """Have each node try everybody it cannot reach."""
        for node in self.living():
            for sought in node.view.out_of_reach():
                other = next(known for known in self.nodes if known.id == sought.node_id)
                is_cut = frozenset((node.id, other.id)) in self.cuts
                if other.is_alive and not is_cut:
                    self.link(node, other)
                else:
                    self.told(node, node.view.unreached(other.id, self.now, refused=not is_cut))

    def pass_time(self, seconds: float) -> None:
        """Let time pass with everything arriving, at most half a second late."""
        end = self.now + seconds
        while self.now < end:
            self.tick()
            self.settle()

    def settle(self) -> None:
        """Deliver and dial until nothing changes any more."""
        for _ in range(3):
            self.deliver_all()
            self.dial()
        self.deliver_all()

    def deliver_all(self) -> None:
        while any(self.mail.values()):
            self.deliver(0)

    def deliver(self, choice: int) -> None:
        """Deliver the next word from one node to another, any pair of them."""
        pairs = [pair for pair, words in self.mail.items() if words]
        if not pairs:
            return
        sender, receiver = pairs[choice % len(pairs)]
        facts = self.mail[sender, receiver].popleft()
        node = next(node for node in self.nodes if node.id == receiver)
        if not node.is_alive:
            return
        if facts is None:
            self.told(node, node.view.absent(sender, self.now))
        else:
            self.told(node, node.view.present(sender, facts, self.now))

    # --- how it is done --------------------------------------------------------------------------------------

    def living(self) -> list[ModelNode]:
        return [node for node in self.nodes if node.is_alive]

    def told(self, node: ModelNode, events: list[MemberEvent]) -> None:
        node.note(events)
        self.say(node)

    def say(self, node: ModelNode) -> None:
        facts = node.facts()
        if facts == node.said:
            return
        assert node.said is None or facts.incarnation >= node.said.incarnation
        node.said = facts
        for other in self.nodes:
            if frozenset((node.id, other.id)) in self.links:
                self.mail.setdefault((node.id, other.id), deque()).append(facts)

    def link(self, one: ModelNode, other: ModelNode) -> None:
        pair = frozenset((one.id, other.id))
        if one is other or pair in self.links or pair in self.cuts or not (one.is_alive and other.is_alive):
            return
        self.links.add(pair)
        for sender, receiver in ((one, other), (other, one)):
            self.mail.setdefault((sender.id, receiver.id), deque()).append(sender.said)

    def unlink(self, one: ModelNode, other: ModelNode) -> None:
        """Break a link: what was on its way is lost, and each side will notice."""
        if frozenset((one.id, other.id)) in self.links:
            self.links.remove(frozenset((one.id, other.id)))
            for sender, receiver in ((one, other), (other, one)):
                keep = [] if sender.is_alive else list(self.mail.get((sender.id, receiver.id), ()))
                self.mail[sender.id, receiver.id] = deque([*keep, None])

    def somebody_sees(self, observer: ModelNode, target: ModelNode) -> bool:
        """Tell whether anybody whom the observer reaches, not through the target, has the target in sight."""
        reached, edge = {observer.id}, [observer]
        while edge:
            node = edge.pop()
            if frozenset((node.id, target.id)) in self.links:
                return True
            for other in self.living():
                if other.id not in {*reached, target.id} and frozenset((node.id, other.id)) in self.links:
                    reached.add(other.id)
                    edge.append(other)
        return False
