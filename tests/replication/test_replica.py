"""The tables of several nodes over a network that loses, doubles and reorders: they end up the same, and right."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.replication.replica import Replica
from tests.replication.model import OPTIONS, give, over_the_wire, play, replica, rows


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


def test_a_whole_table_takes_the_place_of_what_came_by_another_way() -> None:
    """A copy meant for who had nothing says nothing of old deletions; who has rows by now takes it whole."""
    one, two, three = replica("1"), replica("2"), replica("3")
    write_all(one, "ab", 1)
    give(one, three)
    write_all(one, "a", None, now=10)
    one.collect(100)
    late = [over_the_wire(piece) for piece in one.pieces(one.me, 0)]
    give(three, two, one)
    for piece in late:
        two.apply(piece, 100)
    assert rows(two, one) == rows(one, one) == {"nb": 1}


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


@given(st.integers(0, 2**32), st.integers(3, 5), st.integers(20, 400))
@settings(max_examples=150, deadline=None)
def test_all_copies_become_equal_and_right(seed: int, nodes: int, steps: int) -> None:
    """After loss, duplication, reordering, restarts and absences: no lost row, no resurrected one, all the same."""
    play(seed, nodes, steps)


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
