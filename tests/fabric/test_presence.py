"""A node is present while any of its tokens is, with the facts of the newest."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.fabric.keys import Presence
from foundation.fabric.presence import PresenceTable

ANNE, BOB = NodeId("a" * 32), NodeId("b" * 32)


def token(version: int, node: NodeId = ANNE) -> Presence:
    return Presence(node, version, b"facts %d" % version)


def test_a_node_comes_and_goes() -> None:
    """The first token makes a node present, its last one gone makes it absent; others do not matter."""
    table = PresenceTable()
    assert table.appeared(token(1))
    assert table.appeared(token(1, BOB))
    assert table.nodes() == {ANNE, BOB}
    assert table.vanished(token(1))
    assert ANNE not in table
    assert BOB in table
    assert not table.vanished(token(1))


def test_new_facts_replace_the_old_without_a_gap() -> None:
    """A higher version is news, and the old one taken back is none."""
    table = PresenceTable()
    assert table.appeared(token(1))
    assert table.appeared(token(2))
    assert not table.vanished(token(1))
    assert ANNE in table
    assert table.vanished(token(2))


def test_old_facts_that_come_late_change_nothing() -> None:
    """A token that arrives after a newer one is no news."""
    table = PresenceTable()
    assert table.appeared(token(2))
    assert not table.appeared(token(1))
    assert not table.vanished(token(1))
    assert table.nodes() == {ANNE}


def test_a_token_unknown_here_vanishes_without_a_trace() -> None:
    """Nothing is noted about a node whose token goes before it came."""
    table = PresenceTable()
    assert not table.vanished(token(7))
    assert table.nodes() == set()


@given(st.integers(1, 12), st.booleans(), st.randoms())
def test_any_order_of_many_changes_ends_the_same(changes: int, is_gone: bool, chance: random.Random) -> None:
    """However the tokens of many versions arrive, each one's coming before its going, the end is right."""
    waiting = [(version, True) for version in range(1, changes + 1)]
    waiting += [(version, False) for version in range(1, changes + is_gone)]
    chance.shuffle(waiting)
    table = PresenceTable()
    facts = None
    while waiting:
        version, is_there = waiting.pop(0)
        if not is_there and (version, True) in waiting:
            waiting.append((version, is_there))
        elif is_there and table.appeared(token(version)):
            facts = version
        elif not is_there and table.vanished(token(version)):
            facts = None
    assert (ANNE in table) == (not is_gone)
    assert facts == (None if is_gone else changes)


def test_a_flood_of_tokens_is_bounded() -> None:
    """A node that declares without end and takes nothing back costs a bounded amount."""
    table = PresenceTable()
    for version in range(10_000):
        table.appeared(token(version))
    assert len(table._tokens[ANNE]) < 100
    assert table.vanished(token(9_999)) is False
