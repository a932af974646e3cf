"""The tables of several nodes over a network that loses, doubles and reorders: they end up the same, and right."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.replication.messages import Delta
from foundation.replication.options import ReplicationOptions
from foundation.replication.replica import Replica

OPTIONS = ReplicationOptions(retention_s=30.0, piece_bytes=100, most_ahead=8)
KINDS: dict[str, type] = {"n": int}


def replica(name: str, options: ReplicationOptions = OPTIONS) -> Replica:
    return Replica(NodeId(name), KINDS, options)


def over_the_wire(delta: Delta) -> Delta:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(delta), type=Delta)


def give(source: Replica, target: Replica, owner: Replica | None = None, now: float = 0.0) -> int:
    """Bring a copy up to date, and return how many messages that took."""
    owner = owner or source
    pieces = [over_the_wire(piece) for piece in source.pieces(owner.me, target.version(owner.me))]
    for piece in pieces:
        target.apply(piece, now)
    return len(pieces)


def rows(copy: Replica, owner: Replica) -> dict[str, object]:
    table = copy.tables.get(owner.me)
    return {} if table is None else dict(table.values())


def write_all(node: Replica, keys: Iterable[str], value: int | None, now: float = 0.0) -> None:
    for key in keys:
        node.write(f"n{key}", value, now)


def test_what_is_written_and_deleted_reaches_the_others() -> None:
    """A copy follows delta by delta, and each change is told once, with what was there before."""
    one, two = replica("1"), replica("2")
    one.write("na", 1, 0)
    one.write("nb", 2, 0)
    told = [change for delta in one.news() for change in two.apply(over_the_wire(delta), 0)]
    assert [(change.key, change.old, change.new) for change in told] == [("na", None, 1), ("nb", None, 2)]
    one.write("na", 3, 0)
    one.write("nb", None, 0)
    told = [change for delta in one.news() for change in two.apply(over_the_wire(delta), 0)]
    assert [(change.key, change.old, change.new) for change in told] == [("na", 1, 3), ("nb", 2, None)]
    assert rows(two, one) == {"na": 3}
    assert list(one.news()) == []


def test_pieces_are_small_and_any_order_will_do() -> None:
    """A large table travels in bounded pieces; a copy that misses some waits for them and loses nothing."""
    one, two = replica("1"), replica("2")
    write_all(one, map(str, range(100)), 7)
    pieces = list(one.pieces(one.me, 0))
    assert len(pieces) > 5
    assert all(len(msgspec.msgpack.encode(piece)) < 300 for piece in pieces)
    two.apply(over_the_wire(pieces[2]), 0)
    assert two.is_behind(one.me)
    for piece in reversed(pieces[:8]):
        two.apply(over_the_wire(piece), 0)
    assert not two.is_behind(one.me)
    assert two.version(one.me) == pieces[7].upto
    give(one, two)
    assert rows(two, one) == rows(one, one)


def test_a_long_absence_resurrects_nothing() -> None:
    """Who missed deletions whose tombstones are gone takes the whole table, and is told what vanished."""
    one, two = replica("1"), replica("2")
    write_all(one, "abcdefgh", 1)
    give(one, two)
    write_all(one, "abc", None, now=10)
    write_all(one, "xyz", 2, now=20)
    one.collect(100)
    assert one.own.floor > two.version(one.me)
    changes = [change for piece in one.pieces(one.me, two.version(one.me)) for change in two.apply(piece, 100)]
    assert {change.key for change in changes if change.new is None} == {"na", "nb", "nc"}
    assert rows(two, one) == rows(one, one)


def test_a_copy_of_a_copy_knows_what_it_was_never_told() -> None:
    """Who got a table after its tombstones were dropped does not pass it on as if it had them."""
    one, two, late = replica("1"), replica("2"), replica("3")
    write_all(one, "abc", 1)
    give(one, late)
    write_all(one, "a", None, now=10)
    write_all(one, "x", 2, now=20)
    one.collect(100)
    give(one, two)
    give(two, late, one, now=100)
    assert rows(late, one) == rows(one, one) == {"nb": 1, "nc": 1, "nx": 2}


def test_who_is_forgotten_stays_so() -> None:
    """Rows of a node that has left are not taken again from those who have not heard of it, for as long as it takes."""
    one, two, three = replica("1"), replica("2"), replica("3")
    write_all(one, "abc", 1)
    give(one, two)
    give(one, three)
    assert len(two.forget(one.me, 50)) == 3
    assert give(three, two, one, now=60) == 1
    assert two.version(one.me) == 0
    assert two.compare(three.digest(answer_wanted=True))[0] == []
    two.collect(90)
    give(three, two, one, now=95)
    assert two.version(one.me) == 3


def test_values_that_do_not_fit_are_passed_on() -> None:
    """A kind or a value that this version does not know is kept for those who do."""
    one = Replica(NodeId("1"), {"n": str, "q": int}, OPTIONS)
    two, three = replica("2"), Replica(NodeId("3"), {"n": str, "q": int}, OPTIONS)
    one.write("na", "text", 0)
    one.write("qb", 5, 0)
    give(one, two)
    assert two.unreadable == 1
    give(two, three, one)
    assert rows(three, one) == {"na": "text", "qb": 5}


class Net:
    """Writers, copies of each other, and messages that come when and how they like."""

    def __init__(self, seed: int, nodes: int) -> None:
        self.chance = random.Random(seed)
        self.nodes = [replica(str(number + 1)) for number in range(nodes)]
        self.now = 0.0
        self.started = nodes
        self.flying: list[tuple[float, Replica, Delta]] = []
        self.truth: dict[str, dict[str, int]] = {node.me: {} for node in self.nodes}

    def step(self) -> None:  # noqa: C901 - a line for each thing that happens
        """Do something: write, deliver, lose, double, compare, collect, replace a node by a new one."""
        self.now += self.chance.random()
        self.flying = [message for message in self.flying if message[0] > self.now - OPTIONS.retention_s / 2]
        node = self.chance.choice(self.nodes)
        match self.chance.randrange(12):
            case 0 | 1 | 2 | 3:
                self.write(node)
            case 4 | 5 | 6 if self.flying:
                sent_at, target, delta = self.flying.pop(self.chance.randrange(len(self.flying)))
                if self.chance.random() < 0.2:
                    self.flying.append((sent_at, target, delta))
                if self.chance.random() > 0.2:
                    target.apply(over_the_wire(delta), self.now)
            case 7 | 8:
                self.compare(node, self.chance.choice(self.nodes))
            case 9:
                node.collect(self.now)
            case 10 if self.chance.random() < 0.1:
                self.restart(node)
            case 11 if self.chance.random() < 0.05:
                self.now += OPTIONS.retention_s * 2
            case _:
                self.spread(node)

    def write(self, node: Replica) -> None:
        key = f"n{self.chance.randrange(12)}"
        value = self.chance.randrange(1000) if self.chance.random() < 0.7 else None
        node.write(key, value, self.now)
        if value is None:
            self.truth[node.me].pop(key, None)
        else:
            self.truth[node.me][key] = value

    def spread(self, node: Replica) -> None:
        for delta in list(node.news()):
            self.flying += [(self.now, other, delta) for other in self.nodes if other is not node]

    def compare(self, asks: Replica, tells: Replica) -> None:
        for want in asks.compare(tells.digest(answer_wanted=True))[0]:
            self.flying += [(self.now, asks, piece) for piece in tells.pieces(want.owner, want.have)]

    def restart(self, node: Replica) -> None:
        """A node ends; another one takes its place. Whether the others forget it at once is for chance to say."""
        self.started += 1
        fresh = replica(f"{self.started:x}")
        self.nodes[self.nodes.index(node)] = fresh
        self.truth[fresh.me] = {}
        del self.truth[node.me]
        self.flying = [message for message in self.flying if message[1] is not node]
        for other in self.nodes:
            other.forget(node.me, self.now)

    def settle(self) -> None:
        self.flying.clear()
        for _ in range(3):
            for one in self.nodes:
                for other in self.nodes:
                    for want in one.compare(other.digest(answer_wanted=True))[0]:
                        for piece in list(other.pieces(want.owner, want.have)):
                            one.apply(over_the_wire(piece), self.now)


@given(st.integers(0, 2**32), st.integers(3, 5), st.integers(20, 400))
@settings(max_examples=150, deadline=None)
def test_all_copies_become_equal_and_right(seed: int, nodes: int, steps: int) -> None:
    """After loss, duplication, reordering, restarts and absences: no lost row, no resurrected one, all the same."""
    net = Net(seed, nodes)
    for _ in range(steps):
        net.step()
    net.settle()
    for node in net.nodes:
        seen = {owner: dict(table.values()) for owner, table in node.tables.items()}
        assert {owner: held for owner, held in seen.items() if held} == {
            owner: held for owner, held in net.truth.items() if held
        }


@pytest.mark.parametrize("restarts", [200])
def test_restarts_leave_nothing(restarts: int) -> None:
    """After many restarts a node holds no more tables, and says no more in a comparison, than after a few."""
    one = replica("f")
    sizes = []
    for number in range(restarts):
        now = number * 5.0
        other = replica(f"{number + 1:x}")
        write_all(other, "abc", number)
        give(other, one, now=now)
        one.forget(other.me, now + 1)
        one.collect(now + 2)
        sizes.append(
            (len(one.tables), len(one._forgotten), len(msgspec.msgpack.encode(one.digest(answer_wanted=True))))
        )
    assert max(sizes[100:]) <= max(sizes[:100])
    assert max(size for size, _, _ in sizes) <= 2
