"""One node of a model: the real replica, index and claims, without event loop, wire and clock, and cheap to copy.

It does what ``Names`` and ``Replication`` do around them: rows written in a step go to all who are present, and notes
go behind them.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from foundation.core.identity import NodeId
from foundation.core.rendezvous import Candidates
from foundation.core.roster import Roster
from foundation.registry.child_index import ChildIndex
from foundation.registry.claims import Claims
from foundation.registry.held_rows import HeldRows
from foundation.registry.index import NameIndex
from foundation.registry.messages import Claim, ClaimMessage, Dropped, Flushed, Won
from foundation.registry.rows import NAMES, NameRow
from foundation.replication.messages import Delta, Digest, Want
from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Change, Replica
from foundation.replication.table import Table

T = TypeVar("T")
OPTIONS = ReplicationOptions()
Sent = Delta | Digest | Want | ClaimMessage


class Notice(NamedTuple):
    """That a node sees another view from now on, and who came or went with that."""

    name: str
    members: tuple[tuple[str, int], ...] = ()
    """Who is in now that was not, with incarnations; may be the node itself."""
    gone: tuple[str, ...] = ()
    """Who is in the view no more."""
    came: tuple[str, ...] = ()
    """Whose rows are seen and to whom rows are sent from now on."""
    down: tuple[str, ...] = ()
    """Whose rows are hidden, and from whom nothing is taken any more."""
    left: tuple[str, ...] = ()
    """The same, and their rows are forgotten."""
    after: tuple[str, ...] = ()
    """Notices that this node takes before."""
    since: str = ""
    """What has to have happened in the world."""
    tells: str = ""
    """What has happened in the world with that."""
    leaving: tuple[str, ...] = ()
    """Who is in, and leaves."""


def home_of(key: str, among: Iterable[str]) -> str:
    """Return the home of a name among these nodes."""
    return Candidates([NodeId(node) for node in among]).first(key)


def key_at(home: str, among: Iterable[str], skip: int = 0) -> str:
    """Return the key of a name whose home among these nodes is that one."""
    fitting = (key for n in itertools.count() if home_of(key := f"{NAMES}{n}", among) == home)
    return next(itertools.islice(fitting, skip, None))


class ModelNode:
    """A node; each method is one step, after which :meth:`sent` has what it sends."""

    def __init__(
        self, me: str, members: Mapping[str, int], present: Iterable[str], claims: type[Claims] = Claims
    ) -> None:
        self.me = NodeId(me)
        self.stamp = ord(me[0])
        """Of all its claims: those of A are older than those of B."""
        self.members = dict(members)
        self.present = {NodeId(node) for node in present if node != me}
        self.leaving, self.down = set[str](), set[str]()
        self.noticed: frozenset[str] = frozenset()
        self.answers: dict[int, str] = {}
        self.claimed: dict[int, str] = {}
        self.retries: set[int] = set()
        self.lost_names: list[tuple[str, int]] = []  # with the epoch that the winner was said to have
        self.had: set[str] = set()
        """Keys of names that a process here has had."""
        self.wanted: dict[NodeId, NodeId] = {}
        """Of whose table who was asked for more."""
        self.number = 0
        self.replica = Replica(self.me, {NAMES: NameRow}, OPTIONS)
        conflicts: dict[str, None] = {}
        self.index = NameIndex(self.replica, conflicts)
        self._notes: list[tuple[NodeId, ClaimMessage]] = []
        self._out: list[tuple[NodeId, Sent]] = []
        self.claims = claims(
            self.me,
            HeldRows(self.replica, self.index, ChildIndex(self.replica, self.index.is_shown)),
            self,
            self._note,
            conflicts,
        )
        for node in self.present:
            self.index.show(node)
        self.enter()
        self.sent()

    def copy(self) -> Self:
        new = copy.copy(self)
        for name in (
            "members",
            "leaving",
            "present",
            "down",
            "answers",
            "claimed",
            "retries",
            "lost_names",
            "had",
            "wanted",
        ):
            setattr(new, name, copy.copy(getattr(self, name)))
        new._notes, new._out = [], []
        new.replica = replica = copy.copy(self.replica)
        replica.tables = {owner: _copied(table) for owner, table in replica.tables.items()}
        replica.own = replica.tables[self.me]
        replica._ahead = {owner: list(ahead) for owner, ahead in replica._ahead.items()}
        replica._anew = {owner: _copied(table) for owner, table in replica._anew.items()}
        replica._forgotten = dict(replica._forgotten)
        new.claims = claims = _copied_state(self.claims)
        claims._agreement = agreement = _copied_state(self.claims._agreement)
        new.index = index = copy.copy(self.index)
        index._replica, index._conflicts = replica, claims.conflicts
        index._shown = set(index._shown)
        index._owners = {key: list(one) if isinstance(one, list) else one for key, one in index._owners.items()}
        children = ChildIndex(replica, index.is_shown)
        claims._rows, claims._grantee, claims._send = HeldRows(replica, index, children), new, new._note
        agreement._rows, agreement._send = claims._rows, new._note
        return new

    def key(self) -> object:
        """Return all that its future depends on, hashable."""
        replica = self.replica
        tables = {
            owner: (table.version, tuple((key, row.version, row.value) for key, row in table.rows.items()))
            for owner, table in replica.tables.items()
        }
        ahead = {owner: tuple((d.since, d.upto) for d in deltas) for owner, deltas in replica._ahead.items()}
        claims = _state(self.claims) | _state(self.claims._agreement)
        own = (
            self.members, self.leaving, self.present, self.down, self.noticed, self.answers, self.claimed, self.retries,
            self.lost_names, self.had, self.wanted, self.number, self.index._shown,
        )  # fmt: skip
        return (self.me, _frozen(tables), replica._told, _frozen(ahead), _frozen(claims), *map(_frozen, own))

    def sent(self) -> list[tuple[NodeId, Sent]]:
        """Return what was sent since this was asked before: rows first, then what was said behind them."""
        for delta in self.replica.news():
            self._out += [(node, delta) for node in sorted(self.present)]
        self._out += self._notes
        out, self._out, self._notes = self._out, [], []
        return out

    @property
    def owned(self) -> dict[str, NameRow]:
        """What processes here own, as far as this node knows."""
        return dict(self.replica.own.values())

    # --- what can happen

    def enter(self) -> None:
        members = [(NodeId(node), incarnation) for node, incarnation in self.members.items()]
        self.claims.enter(Roster(members, {NodeId(node) for node in self.leaving}))

    def notice(self, notice: Notice) -> None:
        self.noticed |= {notice.name}
        for node in map(NodeId, notice.came):
            self.down.discard(node)
            self.present.add(node)
            self._out.append((node, self.replica.digest(answer_wanted=False)))
            self.index.show(node)
            self.claims.go_on()
        for node in map(NodeId, notice.down + notice.left):
            self.down.add(node)
            self.present.discard(node)
            self._ask_others(node)
            self.index.hide(node)
            self.claims.forget(node)
            self.claims.go_on()
            if node in notice.left:
                self.changed(self.replica.forget(node, 0.0))
            elif version := self.replica.version(node):
                digest = Digest({node: version}, is_complete=False)
                self._out += [(other, digest) for other in sorted(self.present)]
        self.leaving |= set(notice.leaving)
        self.members = {node: n for node, n in (self.members | dict(notice.members)).items() if node not in notice.gone}
        self.enter()

    def claim(self, key: str) -> None:
        if self.index.find(key) is None:
            self.number += 1
            self.claimed[self.number] = key
            self.claims.claim(self.number, key, self.number)

    def give_up(self, number: int) -> None:
        self.answers.setdefault(number, "given up")
        self.retries.discard(number)
        self.claims.give_up(number)

    def unregister(self, key: str) -> None:
        self._write(key, None)

    def again(self, number: int) -> None:
        """Let the timer of a claim that met another view run out."""
        self.retries.discard(number)
        self.claims.again(number)

    def look_again(self) -> None:
        """Let the timers run out that repeat what may have been lost."""
        for number in self.claims.open_claims:
            self.claims.again(number)
        self.claims.look_again()

    def compare(self) -> None:
        """Let the timers run out that compare tables."""
        self.wanted.clear()
        self._out += [(node, self.replica.digest(answer_wanted=True)) for node in sorted(self.present)]

    def reset(self, node: str) -> None:
        """Notice that what was under way to and from a node is lost."""
        if node in self.present:
            self._out.append((NodeId(node), self.replica.digest(answer_wanted=False)))
            self._ask_others(node)

    def receive(self, source: str, message: Sent) -> None:
        if source in self.down:
            return
        node = NodeId(source)
        if isinstance(message, Delta):
            changes = self.replica.apply(message, 0.0)
            if self.replica.version(message.owner) >= message.goal and not self.replica.is_behind(message.owner):
                self.wanted.pop(message.owner, None)
            if self.replica.is_behind(message.owner):
                self._want(node, [Want(message.owner, self.replica.version(message.owner))])
            self.changed(changes)
        elif isinstance(message, Want):
            self._out += [(node, piece) for piece in self.replica.pieces(message.owner, message.have)]
        elif isinstance(message, Digest):
            self._compared(node, message)
        else:
            self._compared(node, Digest(_promised(node, message), is_complete=False, answer_wanted=False))
            self.claims.receive(node, message)

    def changed(self, changes: list[Change]) -> None:
        self.index.apply(changes)
        for change in changes:
            if change.owner != self.me:
                self.claims.rows_changed(change.owner, change.key)
        if changes:
            self.claims.go_on()

    # --- the port of the claims

    def granted(self, number: int, key: str, epoch: int) -> bool:
        if number in self.answers:
            return False
        self.answers[number] = f"granted {epoch}"
        self.had.add(key)
        self.retries.discard(number)
        self._write(key, NameRow(number, epoch, self.stamp))
        return True

    def taken(self, number: int, owner: NodeId, serial: int) -> None:
        del serial
        self.answers.setdefault(number, f"taken by {owner}")
        self.retries.discard(number)

    def retry(self, number: int) -> None:
        self.retries.add(number)

    def won(self, verdict: Won) -> None:
        row = self.owned.get(verdict.key)
        if row is not None and row.serial == verdict.serial and row.epoch < verdict.epoch:
            self._write(verdict.key, msgspec.structs.replace(row, epoch=verdict.epoch))

    def lost(self, key: str, owner: NodeId, serial: int, epoch: int) -> None:
        del owner, serial
        row = self.owned.get(key)
        if row is not None and row.epoch < epoch:
            self.unregister(key)
            self.lost_names.append((key, epoch))

    # --- inside

    def _write(self, key: str, row: NameRow | None) -> None:
        self.changed([self.replica.write(key, row, 0.0)])

    def _note(self, node: NodeId, message: ClaimMessage) -> None:
        self._notes.append((node, message))

    def _compared(self, node: NodeId, digest: Digest) -> None:
        wanted, offered = self.replica.compare(digest)
        self._want(node, wanted)
        if digest.answer_wanted and offered:
            versions = {offer.owner: self.replica.version(offer.owner) for offer in offered}
            self._out.append((node, Digest(versions, is_complete=False, answer_wanted=False)))

    def _ask_others(self, node: str) -> None:
        for owner in [owner for owner, source in self.wanted.items() if source == node]:
            del self.wanted[owner]
            if self.present:
                source = owner if owner in self.present else min(self.present)
                self._out.append((source, self.replica.digest(answer_wanted=True)))

    def _want(self, node: NodeId, wants: list[Want]) -> None:
        for want in wants:
            if want.owner not in self.wanted:
                self.wanted[want.owner] = node
                self._out.append((node, want))


def _promised(source: NodeId, message: ClaimMessage) -> dict[NodeId, int]:
    if isinstance(message, Flushed):
        return message.versions
    return {source: message.version} if isinstance(message, Claim | Dropped) else {}


def _copied(table: Table) -> Table:
    new = Table()
    new.version, new.floor, new.live = table.version, table.floor, table.live
    new.rows, new.tombstones = dict(table.rows), dict(table.tombstones)
    return new


def _copied_state(one: T) -> T:
    new = copy.copy(one)
    for name, value in new.__dict__.items():
        if isinstance(value, dict | list | set):
            setattr(new, name, copy.copy(value))
    return new


def _state(one: object) -> dict[str, object]:
    """Return what distinguishes one from another in the same place."""
    same = {"_rows", "_grantee", "_send", "_candidates", "members", "_members", "_agreement", "resolve"}
    return {name: _frozen(value) for name, value in one.__dict__.items() if name not in same}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((key, _frozen(one)) for key, one in value.items()))
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return value


class ModelNetwork:
    """Model nodes and what is under way between them, first in first out for each two."""

    def __init__(self, nodes: str = "ABC", members: Mapping[str, int] | None = None, **options: Any) -> None:
        members = dict.fromkeys(nodes, 1) if members is None else members
        self.nodes = {node: ModelNode(node, members, members, **options) for node in nodes}
        self.queues: dict[tuple[str, str], list[Sent]] = {(a, b): [] for a in nodes for b in nodes if a != b}

    def __getitem__(self, node: str) -> ModelNode:
        """Return a node, to let something happen to it; :meth:`waiting` takes what it sends."""
        return self.nodes[node]

    def collect(self) -> None:
        for name, node in self.nodes.items():
            for to, message in node.sent():
                if (name, to) in self.queues:
                    self.queues[name, to].append(message)

    def waiting(self, source: str, to: str) -> list[Sent]:
        """Return what is under way from one to another."""
        self.collect()
        return self.queues[source, to]

    def deliver(self, source: str, to: str, count: int | None = None) -> None:
        """Deliver what is under way from one to another now, or the first few of it."""
        queue = self.waiting(source, to)
        for _ in range(len(queue) if count is None else count):
            self.nodes[to].receive(source, queue.pop(0))
        self.collect()

    def deliver_along(self, ways: str) -> None:
        """Deliver all that is under way from A to C, then from C to B, and so on: ``AC CB``."""
        for source, to in ways.split():
            self.deliver(source, to)

    def lose(self, source: str, to: str) -> list[Sent]:
        """Lose what is under way from one to another."""
        lost = list(self.waiting(source, to))
        self.queues[source, to].clear()
        return lost

    def reset(self, one: str, other: str) -> None:
        """Lose what is under way between two, who notice that."""
        self.lose(one, other)
        self.lose(other, one)
        self.nodes[one].reset(other)
        self.nodes[other].reset(one)

    def settle(self, *, look: bool = True) -> None:
        """Deliver all, in turn, until nothing is under way; with all timers, or only those of retries."""
        for _ in range(200):
            self.collect()
            busy = [pair for pair, queue in self.queues.items() if queue]
            for pair in busy:
                self.deliver(*pair, 1)
            for node in self.nodes.values():
                for number in sorted(node.retries):
                    node.again(number)
                if look and not busy:
                    node.look_again()
            self.collect()
            if not busy and not any(self.queues.values()):
                return
        message = "it does not come to rest"
        raise AssertionError(message)

    def owners(self, key: str) -> list[str]:
        """Return who believes to own a name."""
        return [name for name, node in self.nodes.items() if key in node.owned]
