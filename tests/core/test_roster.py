"""The number of a roster says who is in, in which incarnation, and who of them leaves, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.core.roster import Roster

NODES = st.sampled_from([NodeId(letter) for letter in "abc"])
CHANGES = st.lists(st.tuples(NODES, st.integers(0, 2), st.booleans()))


@given(CHANGES)
def test_what_has_changed_is_as_good_as_new(changes: list[tuple[NodeId, int, bool]]) -> None:
    """However many have come and gone, and in which order: the same members are the same roster."""
    roster, members = Roster(), dict[NodeId, tuple[int, bool]]()
    for node, incarnation, is_leaving in changes:
        if incarnation:
            roster.put(node, incarnation, is_leaving=is_leaving)
            members[node] = incarnation, is_leaving
        else:
            roster.drop(node)
            members.pop(node, None)
    leaving = {node for node, (_, is_leaving) in members.items() if is_leaving}
    new = Roster([(node, members[node][0]) for node in sorted(members)], leaving)
    assert roster.number == new.number
    assert set(roster) == members.keys()
    assert len(roster) == len(members)
    assert set(roster.staying()) == members.keys() - leaving == {node for node in "abc" if roster.stays(NodeId(node))}


def test_all_that_matters_makes_another_number() -> None:
    """Another member, another incarnation, and a member that leaves; numbers fit into what every language has."""
    a, b = NodeId("a"), NodeId("b")
    rosters = [Roster(), Roster([(a, 1)]), Roster([(b, 1)]), Roster([(a, 2)]), Roster([(a, 1)], {a}),
               Roster([(a, 1), (b, 1)]), Roster([(a, 1), (b, 1)], {b})]  # fmt: skip
    numbers = {roster.number for roster in rosters}
    assert len(numbers) == len(rosters)
    assert all(0 <= number < 1 << 63 for number in numbers)
