"""Who is in the cluster, as one node sees it: a state machine over what it was told and what time it is. Pure.

*Consistency.* The view is this node's own. ``unreachable`` is its opinion alone. It calls a member ``down`` only once
every node in its connected component of the reachability graph has called that member unreachable, for
``down_after_s``, or at once when moreover the member's host answers that no program listens there any more. So a cut
between two nodes that both reach a third downs nobody. Two sides of a partition each down the other: what follows from
that is for the partition policy to say.

Sources: the component rule is that of Pekko's reachability table, the agreement of many observers that of Rapid (Suresh
et al. 2018), incarnations and refutation are those of SWIM (Das et al. 2002).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.membership.events import (
    MemberDown,
    MemberEvent,
    MemberJoining,
    MemberLeaving,
    MemberLeft,
    MemberReachable,
    MemberUnreachable,
    MemberUp,
    MemberUpdated,
)
from foundation.membership.member import Facts, Farewell, Member, MemberStatus, Suspicion
from foundation.membership.options import MembershipOptions

_ENTERED = {
    MemberStatus.JOINING: MemberJoining,
    MemberStatus.UP: MemberUp,
    MemberStatus.LEAVING: MemberLeaving,
}
IN_TOUCH = {MemberStatus.UP, MemberStatus.LEAVING}
_MOST_FAREWELLS = 64


@dataclass(slots=True)
class _Record:
    """What the view holds about one member."""

    member: Member
    facts: Facts
    is_present: bool
    is_met: bool = True
    """False for one that is known by another's suspicion alone: it has a vote here, and is no member yet."""
    tried: bool = True
    """False for one of those that this node has not tried to reach yet."""
    refuses: bool = False
    """The member's host answers, and nothing listens at its addresses."""
    agreed_since: float | None = None
    """Since when everybody in reach has called it unreachable."""
    seen_by: NodeId | None = None
    """A neighbor that had not given it up when last looked for. Mostly that still holds, and no other need be asked."""
    agreed_in: int = 0
    """The state of opinions in which everybody in reach was found to have given it up."""
    gave_up: dict[NodeId, int] = field(init=False)
    """Whom it says it cannot reach or knows to be gone, with the highest incarnation it says so of."""

    def __post_init__(self) -> None:
        opinions: tuple[Suspicion | Farewell, ...] = (*self.facts.unreachable, *self.facts.gone)
        self.gave_up = {}
        for opinion in opinions:
            self.gave_up[opinion.node] = max(opinion.incarnation, self.gave_up.get(opinion.node, 0))


@dataclass(frozen=True, slots=True)
class _Gone:
    incarnation: int
    status: MemberStatus
    at: float


class View:
    """The members that one node knows, apart from itself."""

    def __init__(self, me: NodeId, options: MembershipOptions) -> None:
        self._me = me
        self._options = options
        self._records: dict[NodeId, _Record] = {}
        self._absent: dict[NodeId, _Record] = {}
        """Those of the records that are not present: mostly none, so that most looks cost nothing."""
        self._neighbors: dict[NodeId, _Record] = {}
        """Those that are."""
        self._moved: dict[NodeId, None] = {}
        """Of whom it may have changed whether they are in touch, since that was told."""
        self._gone: dict[NodeId, _Gone] = {}
        self._farewells: tuple[Farewell, ...] | None = ()
        self._observers: set[NodeId] = set()
        self._stuck: set[NodeId] = set()
        self._last_look: float | None = None
        self._state = 1
        """Counts the changes of who is present and what they say of others; as long as it stays, so does agreement."""
        self._whole: set[NodeId] | None = None
        """Whom this node reaches in all, once that is known in a state."""
        self._has_news = False
        """Whether this node's own opinions may have changed since they were last compared."""
        self._opinions: tuple[int, tuple[Suspicion, ...], tuple[Farewell, ...]] = (1, (), ())
        self.incarnation = 1
        """This node's own; raised when others have called it down."""

    def members(self) -> list[Member]:
        """Return the other members, whatever their condition, ordered by name."""
        found = (record.member for record in self._records.values() if record.is_met)
        return sorted(found, key=lambda m: (m.name, m.node_id))

    def member(self, node: NodeId) -> Member | None:
        """Return one member, or None when it is not known or gone."""
        record = self._records.get(node)
        return record.member if record and record.is_met else None

    def out_of_reach(self) -> list[Member]:
        """Return whom to try to reach: the unreachable members, and who is known by another's suspicion alone."""
        return [record.member for record in self._absent.values()]

    def tell_in_touch(self, roster: Roster) -> None:
        """Have the others in a roster that are up or leaving, and that somebody in reach has not given up."""
        for node in self._moved:
            record = self._records.get(node)
            is_given_up = record is None or not (record.is_present or record.agreed_since is None)
            if record is None or is_given_up or record.facts.status not in IN_TOUCH:
                roster.drop(node)
            else:
                is_leaving = record.facts.status is MemberStatus.LEAVING
                roster.put(node, record.member.incarnation, is_leaving=is_leaving)
        self._moved.clear()

    def admits(self, node: NodeId, incarnation: int) -> bool:
        """Tell whether frames of that incarnation of a node are to be taken; who has left does not come back."""
        gone = self._gone.get(node)
        return gone is None or (gone.status is MemberStatus.DOWN and incarnation > gone.incarnation)

    def is_observer(self, node: NodeId) -> bool:
        """Tell whether a node only looks on: present, and not a member."""
        return node in self._observers

    def suspicions(self) -> tuple[Suspicion, ...]:
        """Return this node's own opinion of whom it cannot reach."""
        found = (record.member for record in self._absent.values() if record.tried)
        return tuple(
            Suspicion(m.node_id, m.incarnation, m.name, m.addresses) for m in sorted(found, key=lambda m: m.node_id)
        )

    def opinions_changed(self) -> bool:
        """Tell whether what is to be said about others may differ from when this was asked before."""
        if not self._has_news:
            return False
        self._has_news = False
        opinions = (self.incarnation, self.suspicions(), self.farewells())
        has_changed, self._opinions = opinions != self._opinions, opinions
        return has_changed

    def farewells(self) -> tuple[Farewell, ...]:
        """Return who is gone, the latest if there are many: a node that was called down reads it here."""
        if self._farewells is None:
            latest = sorted(self._gone.items(), key=lambda item: item[1].at)[-_MOST_FAREWELLS:]
            said = (Farewell(node, gone.incarnation, gone.status) for node, gone in latest)
            self._farewells = tuple(sorted(said, key=lambda farewell: farewell.node))
        return self._farewells

    def present(self, node: NodeId, facts: Facts, now: float) -> list[MemberEvent]:
        """Take what a node that is present says about itself and others."""
        self._look_at_clock(now)
        self._refute(facts.gone)
        if facts.observer:
            self._observers.add(node)
            return []
        if not self.admits(node, facts.incarnation):
            return []
        if self._gone.pop(node, None) is not None:
            self._farewells, self._has_news = None, True
        events = self._entered(node, facts)
        for suspicion in facts.unreachable:
            self._hear(suspicion)
        return events + self._judge(now)

    def absent(self, node: NodeId, now: float) -> list[MemberEvent]:
        """Take that the link to a node is gone."""
        self._look_at_clock(now)
        self._observers.discard(node)
        record = self._records.get(node)
        if record is None or not record.is_present:
            return []
        if record.member.status is MemberStatus.LEAVING:
            return [*self._part(node, MemberStatus.LEFT, now), *self._judge(now)]
        record.is_present = False
        self._absent[node] = record
        self._neighbors.pop(node, None)
        self._changed(node)
        record.refuses = False
        record.member = replace(record.member, status=MemberStatus.UNREACHABLE)
        return [MemberUnreachable(record.member), *self._judge(now)]

    def stuck(self, node: NodeId, *, is_stuck: bool) -> list[MemberEvent]:
        """Take that the event loop of a node stands still, or goes on."""
        if is_stuck:
            self._stuck.add(node)
        else:
            self._stuck.discard(node)
        record = self._records.get(node)
        if record is None or record.member.degraded is is_stuck:
            return []
        record.member = replace(record.member, degraded=is_stuck)
        return [MemberUpdated(record.member)] if record.is_met else []

    def unreached(self, node: NodeId, now: float, *, refused: bool) -> list[MemberEvent]:
        """Take that a try to reach an unreachable member failed; ``refused``: all its addresses refuse."""
        self._look_at_clock(now)
        record = self._records.get(node)
        if record is None or record.is_present:
            return []
        self._has_news |= not record.tried
        record.tried = True
        record.refuses = refused
        return self._judge(now)

    def tick(self, now: float) -> list[MemberEvent]:
        """Take what time it is."""
        self._look_at_clock(now)
        for node, gone in list(self._gone.items()):
            if now >= gone.at + self._options.retention_s:
                del self._gone[node]
                self._farewells, self._has_news = None, True
        return self._judge(now)

    def next_to_forget(self) -> float | None:
        """Return when the first of those who are gone is forgotten; None when nobody is gone."""
        oldest = min((gone.at for gone in self._gone.values()), default=None)
        return None if oldest is None else oldest + self._options.retention_s

    def _look_at_clock(self, now: float) -> None:
        """Start the timers again when this node itself stood still; whatever wakes it first, it may not be a tick."""
        if self._last_look is not None and now - self._last_look > self._options.stall_s:
            for node, record in self._absent.items():
                self._agree(node, record, None)
        self._last_look = now

    def _entered(self, node: NodeId, facts: Facts) -> list[MemberEvent]:
        known = self._records.get(node)
        member = Member.from_facts(node, facts, degraded=node in self._stuck)
        record = self._records[node] = self._neighbors[node] = _Record(member, facts, is_present=True)
        self._absent.pop(node, None)
        self._moved[node] = None
        if known is None or not known.is_present or record.gave_up != known.gave_up or facts.gone != known.facts.gone:
            self._changed(node)
        entered = _ENTERED[facts.status](member)
        if known is None or not known.is_met or facts.incarnation > known.member.incarnation:
            return [entered]
        has_moved = known.facts.status is not facts.status
        if not known.is_present:
            back = MemberReachable(replace(member, status=known.facts.status))
            return [back, entered] if has_moved else [back]
        if has_moved:
            return [entered]
        is_news = replace(member, processes=0) != replace(known.member, processes=0)  # a count is no event
        return [MemberUpdated(member)] if is_news else []

    def _refute(self, farewells: Iterable[Farewell]) -> None:
        """Come back as a new incarnation when somebody has called this one down."""
        for farewell in farewells:
            is_mine = farewell.node == self._me and farewell.status is MemberStatus.DOWN
            if is_mine and farewell.incarnation >= self.incarnation:
                self.incarnation = farewell.incarnation + 1
                self._has_news = True

    def _hear(self, suspicion: Suspicion) -> None:
        """Take up a member that is known by another's suspicion only, so as to try it and to have a say."""
        node = suspicion.node
        if node in self._records or node == self._me or not self.admits(node, suspicion.incarnation):
            return
        facts = Facts(suspicion.name, MemberStatus.UP, suspicion.incarnation, suspicion.addresses)
        member = Member.from_facts(node, facts, status=MemberStatus.UNREACHABLE)
        has_been_tried = not suspicion.addresses  # there is nothing to try
        record = _Record(member, facts, is_present=False, is_met=False, tried=has_been_tried)
        self._records[node] = self._absent[node] = record
        self._changed(node)

    def _agree(self, node: NodeId, record: _Record, since: float | None) -> None:
        """Note since when everybody in reach has given it up; None: somebody has not."""
        if (since is None) is not (record.agreed_since is None):
            self._moved[node] = None
        record.agreed_since = since

    def _changed(self, node: NodeId) -> None:
        """Note that whether a node is present, or what it says of others, is not what it was."""
        self._moved[node] = None
        self._state += 1
        self._whole = None
        self._has_news = True

    def _judge(self, now: float) -> list[MemberEvent]:
        """Call down whom everybody in reach has given up."""
        events: list[MemberEvent] = []
        for node, record in list(self._absent.items()):
            if record.agreed_in != self._state:
                if self._is_seen(node, record):
                    self._agree(node, record, None)
                    continue
                if (farewell := self._adopted(node)) is not None:
                    record.member = replace(record.member, incarnation=farewell.incarnation)
                    events += self._part(node, farewell.status, now, "everybody who could still be asked gave it up")
                    continue
                if not record.tried or not self._all_agree(node):
                    self._agree(node, record, None)
                    continue
                record.agreed_in = self._state
            if record.agreed_since is None:
                self._agree(node, record, now)
            events += self._given_up(node, record, now)
        return events

    def _is_seen(self, node: NodeId, record: _Record) -> bool:
        """Tell whether any neighbor has not given it up."""
        incarnation = record.member.incarnation
        witness = self._neighbors.get(record.seen_by) if record.seen_by else None
        if witness is not None and witness.gave_up.get(node, 0) < incarnation:
            return True
        seen_by = (other for other, found in self._neighbors.items() if found.gave_up.get(node, 0) < incarnation)
        record.seen_by = next(seen_by, None)
        return record.seen_by is not None

    def _given_up(self, node: NodeId, record: _Record, now: float) -> list[MemberEvent]:
        waited_s = now - (record.agreed_since or now)
        if record.refuses:
            return self._part(node, MemberStatus.DOWN, now, "its host answers, its process does not exist")
        if waited_s >= self._options.down_after_s:
            reason = f"nobody in reach has reached it for {waited_s:.1f} s"
            return self._part(node, MemberStatus.DOWN, now, reason)
        return []

    def _adopted(self, node: NodeId) -> Farewell | None:
        """Return what a neighbor said when it gave up this node, which no neighbor sees any more."""
        least = self._records[node].member.incarnation
        said = (farewell for other in self._neighbors.values() for farewell in other.facts.gone)
        fitting = [farewell for farewell in said if farewell.node == node and farewell.incarnation >= least]
        return max(fitting, key=lambda farewell: farewell.incarnation, default=None)

    def _all_agree(self, node: NodeId) -> bool:
        if self._whole is None:
            self._whole = self._component(without=None)
        voters = self._component(without=node) if node in self._whole else self._whole
        return all(self._gives_up(voter, node) for voter in voters)

    def _gives_up(self, voter: NodeId, node: NodeId) -> bool:
        return self._records[voter].gave_up.get(node, 0) >= self._records[node].member.incarnation

    def _component(self, *, without: NodeId | None) -> set[NodeId]:
        """Return whom this node reaches, directly or through others, this node and ``without`` left out."""
        others = {node for node in self._records if node != without}
        reached: set[NodeId] = set()
        edge = {node for node in self._neighbors if node != without}
        while edge:
            reached |= edge
            edge = {node for node in others - reached if not all(self._gives_up(witness, node) for witness in edge)}
        return reached

    def _part(self, node: NodeId, status: MemberStatus, now: float, reason: str = "") -> list[MemberEvent]:
        record = self._records.pop(node)
        self._absent.pop(node, None)
        self._neighbors.pop(node, None)
        member = replace(record.member, status=status)
        self._gone[node] = _Gone(member.incarnation, status, now)
        self._farewells = None
        self._changed(node)
        if not record.is_met:
            return []
        return [MemberLeft(member) if status is MemberStatus.LEFT else MemberDown(member, reason)]
