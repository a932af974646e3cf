"""Who may have a name: claims, flushes, grants and conflicts between a few nodes, one message after the other."""

from __future__ import annotations

import pytest

from foundation.core.identity import NodeId
from foundation.registry.messages import Claim, Dropped, Flush, Flushed, Granted, Lost, Retry, Taken, Won
from foundation.registry.rows import NameRow
from foundation.replication.messages import Delta, Want
from tests.registry.claims_model import ModelNetwork, Notice, Sent, key_at

KEY = key_at("C", "ABC")
C_OUT = Notice("C is out", gone=("C",))
C_IN = Notice("C is in", (("C", 1),))
C_DOWN = Notice("C is down", gone=("C",), down=("C",))


def kinds(messages: list[Sent]) -> list[type]:
    return [type(message) for message in messages]


def test_a_claim_is_granted_by_the_home_once_all_have_confirmed_the_view() -> None:
    """Claim, flush, grant, row; then the row is everywhere, and the name is taken without asking anybody else."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    assert kinds(net.waiting("A", "C")) == [Claim]
    net.deliver("A", "C")
    assert kinds(net.waiting("C", "A")) == kinds(net.waiting("C", "B")) == [Flush]
    net.deliver("C", "A")
    net.deliver("A", "C")
    assert net.waiting("C", "A") == []  # B has not confirmed
    net.deliver("C", "B")
    net.deliver("B", "C")
    assert kinds(net.waiting("C", "A")) == [Granted]
    net.settle()
    assert net["A"].answers == {1: "granted 1"}
    assert net.owners(KEY) == ["A"]
    assert {str(node.index.find(KEY)) for node in net.nodes.values()} == {str(net["A"].index.find(KEY))}


def test_the_home_grants_to_itself_at_once() -> None:
    """Without a message, once it is flushed; the node alone in its view needs nobody at all."""
    net = ModelNetwork()
    net["C"].claim(KEY)
    net.settle()
    assert net["C"].answers == {1: "granted 1"}
    other = key_at("C", "ABC", 1)
    net["C"].claim(other)
    assert net["C"].answers[2] == "granted 1"
    alone = ModelNetwork("A")
    alone["A"].claim(KEY)
    assert alone.owners(KEY) == ["A"]


def test_of_two_claims_the_second_is_told_who_has_the_name() -> None:
    """Only once the row of the first says so: what is granted may still come to nothing."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net["B"].claim(KEY)
    net.deliver("A", "C")
    net.deliver("B", "C")
    net.deliver("C", "A")
    net.deliver("C", "B")
    net.deliver("A", "C")
    net.deliver("B", "C")
    assert kinds(net.waiting("C", "A")) == [Granted]
    assert net.waiting("C", "B") == []
    net.settle()
    assert net["B"].answers == {1: "taken by A"}


def granted_and_given_up() -> ModelNetwork:
    """A claims and gives up while the grant is under way; B has claimed too."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net["B"].claim(KEY)
    net.deliver("A", "C")
    net.deliver("B", "C")
    for node in "AB":
        net.deliver("C", node)
        net.deliver(node, "C")
    assert kinds(net.waiting("C", "A")) == [Granted]
    net["A"].give_up(1)
    return net


def test_a_grant_that_is_dropped_goes_to_the_next() -> None:
    """Nobody is told that the name was taken by a process that never had it."""
    net = granted_and_given_up()
    net.deliver("C", "A")
    assert kinds(net.waiting("A", "C")) == [Dropped]
    net.settle(look=False)
    assert net["B"].answers == {1: "granted 1"}


@pytest.mark.parametrize("lost", ["Granted", "Dropped"])
def test_a_home_asks_what_became_of_a_grant(lost: str) -> None:
    """A lost message, and who claimed does not ask again: the name does not stay blocked."""
    net = granted_and_given_up()
    if lost == "Granted":
        assert kinds(net.lose("C", "A")) == [Granted]
    else:
        net.deliver("C", "A")
        assert kinds(net.lose("A", "C")) == [Dropped]
    net.settle(look=False)
    assert net["B"].answers == {}
    net.settle()
    assert net["B"].answers == {1: "granted 1"}


def test_a_second_grant_of_one_claim_does_not_free_the_name() -> None:
    """The claim was repeated, the row is delayed: the home waits for what the table said when a grant was dropped."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net["A"].look_again()
    net.deliver_along("AC CA CB AC BC")
    net["C"].look_again()
    assert kinds(net.waiting("C", "A"))[-2:] == [Granted, Granted]
    net.deliver("C", "A")
    (row,) = (message for message in net.waiting("A", "C") if isinstance(message, Delta))
    net.waiting("A", "C").remove(row)  # no room for it; what follows arrives
    assert Dropped in kinds(net.waiting("A", "C"))
    net.deliver("A", "C")
    net["B"].claim(KEY)
    net.deliver("B", "C")
    assert net.waiting("C", "B") == []
    net["C"].receive("A", row)
    net.settle()
    assert net["B"].answers == {1: "taken by A"}
    assert net.owners(KEY) == ["A"]


def test_a_name_that_was_given_back_before_its_row_came_is_free() -> None:
    """The home sees only that the table has gone on, and learns what became of its grant."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.deliver_along("AC CA CB AC BC CA")
    net.lose("A", "C")
    net["A"].unregister(KEY)
    net.reset("A", "C")
    net.settle()
    net["B"].claim(KEY)
    net.settle()
    assert net["B"].answers == {1: "granted 1"}


def test_what_a_claimant_has_given_back_does_not_count() -> None:
    """A claim waits until the home has heard of all that its node wrote before."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.settle()
    net["A"].unregister(KEY)
    net.collect()
    given_back = net.queues["A", "C"].pop()
    net["A"].claim(KEY)
    net.deliver("A", "C")
    assert kinds(net.waiting("C", "A")) == [Want]
    net["C"].receive("A", given_back)
    net.settle(look=False)
    assert net["A"].answers[2].startswith("granted")


def test_a_claim_under_another_view_is_to_be_made_again() -> None:
    """The home does not decide for who sees others in than it does."""
    net = ModelNetwork()
    net["A"].notice(C_OUT)
    key = key_at("B", "AB")
    net["A"].claim(key)
    net.deliver("A", "B")
    assert kinds(net.waiting("B", "A")) == [Retry]
    net.deliver("B", "A")
    net["B"].notice(C_OUT)
    net.settle()
    assert net["A"].answers == {1: "granted 1"}


def test_a_flush_waits_for_the_rows_that_others_know() -> None:
    """C was home, granted and crashed; what A heard of it B has to hear before it decides."""
    key = key_at("B", "AB", 0)
    net = ModelNetwork()
    net["C"].replica.write(key, NameRow(7, 1, 0), 0)
    net.deliver("C", "A")
    net.lose("C", "B")
    for node in "AB":
        net[node].notice(C_DOWN)
    net.lose("A", "B")
    net["A"].claim(key)
    net.deliver("A", "B")
    net.deliver("B", "A")
    assert kinds(net.waiting("A", "B")) == [Flushed]
    net.deliver("A", "B")
    assert Granted not in kinds(net.waiting("B", "A"))
    net.settle()
    assert net["A"].answers == {1: "granted 2"}  # above the epoch of C, which only A knew


def test_a_grant_of_an_earlier_round_is_void() -> None:
    """Whoever left the view and came back has confirmed anew, and the grant from before may be another's by now."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.deliver_along("AC CA CB AC BC")
    (granted,) = net.waiting("C", "A")
    net["A"].notice(C_OUT)
    net["A"].notice(C_IN)
    net["A"].receive("C", granted)
    assert net.owners(KEY) == []


def test_a_member_that_left_the_view_and_came_back_confirms_again() -> None:
    """Its claim tells the home, which stayed in the view and would grant for a round that is over, for ever."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.deliver_along("AC CA CB AC BC")
    net["A"].notice(C_OUT)
    net["A"].notice(C_IN)
    net.settle()
    assert net["A"].answers == {1: "granted 1"}


def test_what_was_decided_for_an_earlier_round_is_decided_again() -> None:
    """A winner that has left the view and come back takes no verdict from before; the home learns that, and asks."""
    net = conflict({"A": 1, "B": 2}, {"A": 1, "B": 1})
    net.deliver_along("AC BC CA CB AC BC")
    assert kinds(net.waiting("C", "A")) == [Won]
    net["A"].notice(C_OUT)
    net["A"].notice(C_IN)
    net.settle()
    assert net.owners(KEY) == ["A"]
    assert [key for key, _ in net["B"].lost_names] == [KEY]


def test_a_home_that_comes_back_to_a_view_flushes_again() -> None:
    """Its own earlier flush is worth nothing: the view is the same, the round is not (ABA)."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.deliver("A", "C")
    for node in "AB":
        net.deliver("C", node)
    net["C"].notice(Notice("B is out", gone=("B",)))
    net["C"].notice(Notice("B is in", (("B", 1),)))
    net.deliver("A", "C")
    net.deliver("B", "C")
    assert Granted not in kinds(net.waiting("C", "A"))
    net.settle()
    assert net["A"].answers == {1: "granted 1"}


def test_a_node_that_is_not_in_its_own_view_waits() -> None:
    """One that joins, or leaves, claims nothing and decides nothing until it is in."""
    net = ModelNetwork("AB", {"A": 1})
    net["B"].claim(KEY)
    assert net["B"].claims.home(KEY) is None
    net.settle()
    assert net["B"].answers == {}
    for node in "AB":
        net[node].notice(Notice("B is up", (("B", 1),), came=("A" if node == "B" else "B",)))
    net.settle()
    assert net["B"].answers == {1: "granted 1"}


def test_a_node_that_leaves_confirms_and_decides_nothing() -> None:
    """It has names until it has ended: what it was granted last must count where a new home decides."""
    net = ModelNetwork()
    net["C"].claim(KEY)
    net.deliver_along("CA CB AC BC")
    assert net.owners(KEY) == ["C"]
    net.lose("C", "A")
    net.lose("C", "B")
    for node in "ABC":
        net[node].notice(Notice("C leaves", leaving=("C",)))
    assert net["C"].claims.home(KEY) is None
    net["A"].claim(KEY)
    net["B"].claim(KEY)
    net.settle()
    assert net.owners(KEY) == ["C"]
    assert net["A"].answers == net["B"].answers == {1: "taken by C"}


def test_taken_and_retry_of_a_claim_that_is_over_mean_nothing() -> None:
    """Answers that come late, or twice, change nothing."""
    net = ModelNetwork()
    net["A"].claim(KEY)
    net.settle()
    net["A"].claims.receive(net["C"].me, Taken(1, net["B"].me, 1))
    net["A"].claims.receive(net["C"].me, Retry(1))
    assert net["A"].answers == {1: "granted 1"}
    assert not net["A"].retries


def conflict(stamps: dict[str, int], epochs: dict[str, int]) -> ModelNetwork:
    """After a heal each of these nodes has the name."""
    net = ModelNetwork()
    for node, stamp in stamps.items():
        net[node].changed([net[node].replica.write(KEY, NameRow(1, epochs[node], stamp), 0)])
    return net


@pytest.mark.parametrize("epochs", [{"A": 1, "B": 1}, {"A": 1, "B": 5}, {"A": 5, "B": 1}])
def test_a_conflict_is_decided_once_for_the_older_claim(epochs: dict[str, int]) -> None:
    """Whatever the epochs were: the winner's is above all others in the end, and the loser is told once."""
    net = conflict({"A": 2, "B": 1}, epochs)
    net.settle()
    assert net.owners(KEY) == ["B"]
    assert [key for key, _ in net["A"].lost_names] == [KEY]
    assert net["B"].lost_names == []
    assert net["B"].owned[KEY].epoch > epochs["A"]
    assert not any(node.claims.conflicts for node in net.nodes.values())


def test_nobody_has_lost_before_the_winner_is_on_top() -> None:
    """Won first; Lost once the home has seen the winner's row in its new epoch."""
    net = conflict({"A": 1, "B": 2}, {"A": 1, "B": 1})
    net.deliver_along("AC BC CA CB AC BC")
    assert kinds(net.waiting("C", "A")) == [Won]
    assert net.waiting("C", "B") == []
    net.deliver("C", "A")
    net.deliver("A", "C")
    assert Lost in kinds(net.waiting("C", "B"))


def test_of_three_with_one_name_one_keeps_it() -> None:
    """The home may be one of them, and win or lose like the others."""
    for stamps in ({"A": 1, "B": 2, "C": 3}, {"A": 3, "B": 2, "C": 1}, {"A": 2, "B": 1, "C": 3}):
        net = conflict(stamps, {"A": 1, "B": 2, "C": 2})
        net.settle()
        winner = min(stamps, key=lambda node: stamps[node])
        assert net.owners(KEY) == [winner]
        assert [len(net[node].lost_names) for node in "ABC"] == [int(node != winner) for node in "ABC"]


def test_the_user_may_say_who_keeps_a_name() -> None:
    """Where the home asks a function of theirs; if that names nobody concerned, the older claim keeps it."""
    for answer, winner in (("A", "A"), ("B", "B"), ("nobody", "A")):
        net = conflict({"A": 1, "B": 2}, {"A": 1, "B": 1})
        net["C"].claims.resolve = lambda _key, _owned, answer=answer: NodeId(answer)
        net.settle()
        assert net.owners(KEY) == [winner]


def test_a_verdict_is_told_once_and_again_when_it_may_be_lost() -> None:
    """Not with each batch of rows: after a heal there are many of both."""
    net = conflict({"A": 1, "B": 2}, {"A": 1, "B": 1})
    net.deliver_along("AC BC CA CB AC BC")
    other = key_at("B", "ABC")
    for _ in range(3):
        net["B"].claim(other)
        net["B"].unregister(other)
        net.deliver("B", "C")
    assert kinds(net.waiting("C", "A")).count(Won) == 1
    net["C"].look_again()
    assert kinds(net.waiting("C", "A")).count(Won) == 2
