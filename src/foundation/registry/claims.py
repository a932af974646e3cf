"""Who may have a name: the part of a node that claims, and the part that is home of some names. Pure.

*Consistency.* A name belongs to at most one process as long as the cluster is whole: while nodes join, leave and
crash, however long messages take. Across a partition each side goes on; after the heal the home decides once who
keeps it.

*How.* All nodes that agree on a *view* (who is in, in which incarnation, and who of them leaves) agree on the home of
each name. A home decides only after a *flush*: every other member has said that it is in the same view, and the home
holds all rows that the members held when they said so. From that moment a member takes no grant that was made before:
a grant names the installment of the view (the *round*) in which the member has confirmed it. So all grants of earlier
homes are either among the rows by then, or void. Within a flush a home remembers what it has granted until a row
shows it, or the grantee's table shows that there will be none. Members that leave have their names until they have
ended, so they confirm too, and are home of nothing.

Three things this stands on. What a node says to another arrives in order or not at all: a grant comes before the next
flush. Rounds only grow: a view that comes back is another round. And a name changes its home only to who came or from
who went (rendezvous hashing), so that no two nodes, both in two views, are each home in one of them.

This is the flush of virtual synchrony (Birman and Joseph 1987) and the range hand-over of Orleans' strongly
consistent directory, with rounds in place of view numbers, because nobody numbers the views. ``docs/decisions/0010``
says what of it was explored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from foundation.core.identity import NodeId
from foundation.core.rendezvous import Candidates
from foundation.core.roster import Roster
from foundation.registry.agreement import Agreement
from foundation.registry.messages import (
    Claim,
    ClaimMessage,
    Dropped,
    Flush,
    Flushed,
    Granted,
    Lost,
    Retry,
    Taken,
    Won,
)
from foundation.registry.ports import Grantee, Owned, Rows
from foundation.registry.rows import NOT_RUNNING, contenders, shown_of, winner_of


class _Grant(NamedTuple):
    node: NodeId
    number: int
    serial: int
    epoch: int
    over_at: int | None = None
    """The version of the node's table that shows what became of it."""


class Claims:
    """One node's claims, and those that others make at it."""

    def __init__(
        self,
        me: NodeId,
        rows: Rows,
        grantee: Grantee,
        send: Callable[[NodeId, ClaimMessage], None],
        conflicts: dict[str, None],
    ) -> None:
        """``send`` never calls back; the index keeps ``conflicts``: keys of names with more than one owner."""
        self.me = me
        self.round = self.view = 0
        self.conflicts = conflicts
        self.resolve: Callable[[str, Owned], NodeId] = _older_claim
        """Says which of several owners keeps a name, wherever this node is the name's home."""
        self._rows = rows
        self._grantee = grantee
        self._send = send
        self.members = Roster()
        self._candidates: Candidates | None = None
        """Those of the members who may be home of a name: made when that is asked for the first time in a view."""
        self._mine: dict[int, tuple[str, int, int]] = {}
        self._agreement = Agreement(me, rows, send)
        self._waiting: dict[tuple[NodeId, int], Claim] = {}
        """By who claims and the number there: whoever asks again waits once."""
        self._grants: dict[str, _Grant] = {}
        """Granted, and it is not known yet what became of it."""
        self._told: set[tuple[NodeId, Won | Lost]] = set()
        """Verdicts that are on their way: they are not told again with each batch of rows."""
        self._asked: dict[NodeId, Flush] = {}
        """Flushes of nodes whose view is not this one's."""

    # --- the view

    def enter(self, members: Roster) -> None:
        """Go by another view from now on; claims begin again under it. The roster stays as it is until the next view.

        Those of the members who are leaving have names until they have ended, so they confirm the view like the others;
        they are home of none.
        """
        self.members, self.view = members, members.number
        self.round += 1
        self._candidates = None
        self._agreement.enter(members)
        self._grants = {}
        self._told.clear()
        for source, number in self._take_waiting():
            if source != self.me:
                self._send(source, Retry(number))
        self._asked = {node: asked for node, asked in self._asked.items() if not self._confirm(node, asked)}
        for number in list(self._mine):
            self.again(number)
        self.settle()

    def home(self, key: str) -> NodeId | None:
        """Return who decides about a name; None while this node is not in its own view: it joins, or leaves."""
        if not self.members.stays(self.me):
            return None
        if self._candidates is None:
            self._candidates = Candidates(self.members.staying())
        return self._candidates.first(key)

    def flush(self) -> bool:
        """Ask all members to confirm the view, unless they were asked; return whether they all have."""
        if not self._agreement.is_sought:
            self._flush_anew()
        return self._agreement.is_reached

    def _flush_anew(self) -> None:
        self._grants = {}  # who accepts one does so before it confirms, since the grant was sent before it is asked
        self._told.clear()
        self._agreement.seek()

    def forget(self, node: NodeId) -> None:
        """Forget what a node has asked that is gone."""
        self._asked.pop(node, None)

    # --- own claims

    def claim(self, number: int, key: str, serial: int, life: int = 0) -> None:
        """Ask for a name; the answer comes to the grantee under that number, perhaps within the call.

        With a ``life`` it is asked for an orphan, which has that life.
        """
        self._mine[number] = (key, serial, life)
        self.again(number)

    def again(self, number: int) -> None:
        """Ask once more, whatever came of it before; nothing, if it has been answered."""
        if number not in self._mine or (home := self.home(self._mine[number][0])) is None:
            return
        key, serial, life = self._mine[number]
        claim = Claim(number, key, serial, self.view, self._rows.version(self.me), self.round, life)
        if home == self.me:
            self._claimed(self.me, claim)
        else:
            self._send(home, claim)

    def give_up(self, number: int) -> None:
        """Ask no more; a grant that still comes is dropped."""
        self._mine.pop(number, None)

    @property
    def open_claims(self) -> list[int]:
        """The numbers of the claims that were not answered yet."""
        return list(self._mine)

    # --- what comes

    def receive(self, source: NodeId, message: ClaimMessage) -> None:  # noqa: C901 - a line or two for each kind
        """Act on a message of another node."""
        match message:
            case Claim():
                self._claimed(source, message)
            case Granted():
                self._granted(source, message)
            case Flush():
                if not self._confirm(source, message):
                    self._asked[source] = message
            case Flushed():
                self._agreement.take(source, message)
                self.go_on()
            case Dropped():
                self._dropped(source, message)
            case Taken(number, node, serial):
                if self._mine.pop(number, None) is not None:
                    self._grantee.taken(number, node, serial)
            case Retry(number):
                if number in self._mine:
                    self._grantee.retry(number)
            case Won() | Lost():
                self._settled(source, message)

    def _settled(self, source: NodeId, message: Won | Lost) -> None:
        if message.round != self.round:
            self._drop(source, message.key, message.epoch)
        elif type(message) is Won:
            self._grantee.won(message)
        elif type(message) is Lost:
            self._grantee.lost(message.key, message.node, message.serial, message.epoch)

    def _dropped(self, source: NodeId, dropped: Dropped) -> None:
        """Forget a grant, once this node has the rows that its node had by then: one of them may be that grant's."""
        grant = self._grants.get(dropped.key)
        if grant is not None and (grant.node, grant.epoch) == (source, dropped.epoch):
            self._grants[dropped.key] = grant._replace(over_at=dropped.version)
        self._look_at_round(source, dropped.round)
        self.go_on()

    def whose(self, key: str) -> tuple[NodeId, int] | None:
        """Return who has a name, node and serial, or will have it as soon as the grant is there."""
        if (grant := self._grants.get(key)) is not None:
            return grant.node, grant.serial
        owned = self._rows.owned(key)
        return (owned[0][0], owned[0][1].serial) if owned and owned[0][1].serial != NOT_RUNNING else None

    def rows_changed(self, owner: NodeId, key: str) -> None:
        """Take that a row of another node has arrived."""
        grant = self._grants.get(key)
        if grant is not None and grant.node == owner:
            del self._grants[key]

    def go_on(self) -> None:
        """Decide what can be decided by now; to be called when rows have arrived."""
        if self._waiting and self._agreement.is_reached:
            for (source, _), claim in self._take_waiting().items():
                self._claimed(source, claim)
        if self.conflicts:
            self.settle()

    def look_again(self) -> None:
        """Say again what may have been lost; to be called now and then."""
        self._told.clear()
        if self._agreement.is_sought:
            self._agreement.ask()
        for key in list(self._grants):
            if (grant := self._pending(key)) is not None:
                self._send_grant(key, grant)
        self.go_on()

    @property
    def is_at_rest(self) -> bool:
        """Tell whether nothing was said that may have to be said again."""
        is_asking = self._agreement.is_sought and not self._agreement.is_reached
        return not (self._mine or self._grants or self._waiting or self.conflicts or is_asking)

    def settle(self) -> None:
        """Decide the conflicts about names whose home is here, and see to it that those concerned know."""
        here = [key for key in self.conflicts if self.home(key) == self.me]
        if here and self.flush():
            for key in here:
                self._settle_one(key)

    # --- inside

    def _confirm(self, node: NodeId, asked: Flush) -> bool:
        if asked.view != self.view:
            return False
        self._send(node, Flushed(self.view, asked.turn, self.round, dict(self._rows.versions())))
        return True

    def _claimed(self, source: NodeId, claim: Claim) -> None:
        if claim.view != self.view or self.home(claim.key) != self.me or not self._is_member(source):
            self._send(source, Retry(claim.number))
            return
        self._look_at_round(source, claim.round)
        if not self.flush() or self._rows.version(source) < claim.version:
            self._waiting[source, claim.number] = claim
        else:
            self._decide(source, claim)

    def _is_member(self, node: NodeId) -> bool:
        return node == self.me or node in self.members

    def _look_at_round(self, member: NodeId, its_round: int) -> None:
        """Have everybody confirm again when one of them has left the view since, and come back."""
        if self._agreement.is_outdated_by(member, its_round):
            self._flush_anew()

    def _decide(self, source: NodeId, claim: Claim) -> None:
        key = claim.key
        if (grant := self._pending(key)) is not None:
            if (grant.node, grant.number) == (source, claim.number):
                self._send_grant(key, grant)  # asked again
            else:
                self._waiting[source, claim.number] = claim  # that grant may come to nothing
        elif owned := self._rows.owned(key):
            owner, row = shown_of(owned)
            self._refuse(source, claim.number, owner, row.serial)
        elif (life := self._rows.orphan_life(key)) and not claim.life:
            self._waiting[source, claim.number] = claim  # until the orphan has found a home
        elif life != claim.life:
            self._refuse(source, claim.number, NodeId(""), NOT_RUNNING)  # it was terminated meanwhile
        else:
            epoch = self._rows.top_epoch(key) + 1
            if source == self.me:
                if self._mine.pop(claim.number, None) is not None:
                    self._grantee.granted(claim.number, key, epoch)
            else:
                self._grants[key] = grant = _Grant(source, claim.number, claim.serial, epoch)
                self._send_grant(key, grant)

    def _pending(self, key: str) -> _Grant | None:
        grant = self._grants.get(key)
        if grant is not None and grant.over_at is not None and self._rows.version(grant.node) >= grant.over_at:
            del self._grants[key]
            return None
        return grant

    def _send_grant(self, key: str, grant: _Grant) -> None:
        self._send(grant.node, Granted(grant.number, key, grant.epoch, self._agreement.rounds[grant.node]))

    def _take_waiting(self) -> dict[tuple[NodeId, int], Claim]:
        waiting, self._waiting = self._waiting, {}
        return waiting

    def _refuse(self, source: NodeId, number: int, owner: NodeId, serial: int) -> None:
        if source != self.me:
            self._send(source, Taken(number, owner, serial))
        elif self._mine.pop(number, None) is not None:
            self._grantee.taken(number, owner, serial)

    def _granted(self, source: NodeId, granted: Granted) -> None:
        number, key, epoch = granted.number, granted.key, granted.epoch
        is_due = granted.round == self.round and self._mine.pop(number, None) is not None
        if not is_due or not self._grantee.granted(number, key, epoch):
            self._drop(source, key, epoch)

    def _drop(self, home: NodeId, key: str, epoch: int) -> None:
        self._send(home, Dropped(key, epoch, self._rows.version(self.me), self.round))

    def _settle_one(self, key: str) -> None:
        """Have the winner's row in an epoch above all others first; only then the others have lost."""
        owned = contenders(self._rows.owned(key))
        if len(owned) <= 1:
            return
        chosen = self.resolve(key, owned)
        owner, row = next((one for one in owned if one[0] == chosen), winner_of(owned))
        top = max(self._rows.top_epoch(key), *(other.epoch for _, other in owned))
        others = [(node, other) for node, other in owned if node != owner]
        life = max(other.life for _, other in owned) if row.life else 0
        if row.life >= life and row.epoch > max(other.epoch for _, other in others):
            for node, _ in others:
                self._tell_loser(node, Lost(key, owner, row.serial, row.epoch, self._round_of(node)))
        else:
            self._tell_winner(owner, Won(key, row.serial, top + 1, self._round_of(owner), life))

    def _round_of(self, node: NodeId) -> int:
        return self._agreement.rounds.get(node, 0)

    def _tell_winner(self, node: NodeId, won: Won) -> None:
        if node == self.me:
            self._grantee.won(won)
            if any(row.epoch == won.epoch for _, row in self._rows.owned(won.key)):
                self._settle_one(won.key)
        else:
            self._tell(node, won)

    def _tell_loser(self, node: NodeId, lost: Lost) -> None:
        if node == self.me:
            self._grantee.lost(lost.key, lost.node, lost.serial, lost.epoch)
        else:
            self._tell(node, lost)

    def _tell(self, node: NodeId, verdict: Won | Lost) -> None:
        if (node, verdict) not in self._told:
            self._told.add((node, verdict))
            self._send(node, verdict)


def _older_claim(_key: str, owned: Owned) -> NodeId:
    return winner_of(owned)[0]
