"""Whether all members are in the same view as this node, and what they know: the flush, as who asks sees it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.registry.messages import Flush, Flushed
from foundation.registry.ports import Rows


class Agreement:
    """What the members have confirmed to this node in its present turn of asking."""

    def __init__(self, me: NodeId, rows: Rows, send: Callable[[NodeId, Flush], None]) -> None:
        self.is_sought = False
        """Whether the members were asked since this node entered its view."""
        self.rounds: dict[NodeId, int] = {}
        """In which round each member has confirmed the view."""
        self._me = me
        self._rows = rows
        self._send = send
        self._members = Roster()
        self._view = 0
        self._turn = 0
        """How often the members were asked, in all views."""
        self._needed: dict[NodeId, int] = {}
        """Versions that this node's copies must have: what the members knew when they confirmed."""

    @property
    def others(self) -> list[NodeId]:
        """Who is in the view besides this node, in order."""
        return sorted(node for node in self._members if node != self._me)

    def enter(self, members: Roster) -> None:
        """Forget what was confirmed: the view is another one."""
        self._members, self._view = members, members.number
        self.is_sought = False
        self.rounds, self._needed = {}, {}

    def seek(self) -> None:
        """Ask all members, whatever they have confirmed before."""
        self.is_sought = True
        self._turn += 1
        self.rounds, self._needed = {}, {}
        self.ask()

    def ask(self) -> None:
        """Ask those who have not confirmed, for the first time or again."""
        for node in self.others:
            if node not in self.rounds:
                self._send(node, Flush(self._view, self._turn))

    def take(self, source: NodeId, flushed: Flushed) -> None:
        """Take what a member confirms, if it is what it was asked last."""
        is_due = self.is_sought and (flushed.view, flushed.turn) == (self._view, self._turn)
        if not is_due or source == self._me or source not in self._members:
            return
        self.rounds[source] = flushed.round
        for owner, version in flushed.versions.items():
            if owner != self._me:
                self._needed[owner] = max(version, self._needed.get(owner, 0))

    @property
    def is_reached(self) -> bool:
        """Tell whether all members have confirmed the view, and all that they knew is known here."""
        if not self.is_sought or len(self.rounds) < len(self._members) - (self._me in self._members):
            return False
        rows, needed = self._rows, self._needed
        if needed and all(rows.version(owner) >= need or rows.ignores(owner) for owner, need in needed.items()):
            needed.clear()  # copies only grow
        return not needed

    def is_outdated_by(self, member: NodeId, its_round: int) -> bool:
        """Tell whether a member has been in another view since it confirmed this one."""
        return its_round > self.rounds.get(member, its_round)
