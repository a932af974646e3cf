"""Who is in the cluster, decided from what was told and what time it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.core.identity import NodeId
from foundation.core.sources import new_node_id
from foundation.errors import CodecError
from foundation.membership.events import MemberDown, MemberEvent
from foundation.membership.member import Facts, Farewell, MemberStatus, Suspicion, decode_facts, encode_facts
from foundation.membership.view import View
from tests.membership.diagram import DOWN, JOINING, LEAVING, LEFT, UNREACHABLE, UP
from tests.membership.model_cluster import OPTIONS, ModelCluster, ModelNode

# --- stories -------------------------------------------------------------------------------------------------


def test_nodes_join() -> None:
    """Who is met while it joins is joining, then up; who is met when it is up is up at once."""
    town = ModelCluster("anne", "bob")
    anne, bob = town.nodes
    carl = town.start("carl", JOINING)
    town.settle()
    town.become(carl, UP)
    town.settle()
    assert anne.story(carl) == ["joining", "up"]
    assert anne.story(bob) == ["up"]
    assert [member.name for member in anne.view.members()] == ["bob", "carl"]


def test_a_node_that_leaves_has_left() -> None:
    """A leave ends in left, never in unreachable or down, and nothing follows it."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.leave(carl)
    town.pass_time(30)
    assert anne.story(carl) == bob.story(carl) == ["up", "leaving", "left"]
    assert anne.sees(carl) is None
    assert not anne.view.admits(carl.id, 7)


def test_a_killed_node_is_down_at_once() -> None:
    """When its host refuses and everybody has lost it, nobody waits."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.kill(carl)
    town.settle()
    assert anne.story(carl) == bob.story(carl) == ["up", "unreachable", "down"]
    assert "process does not exist" in str(anne.events[-1]) or "gave it up" in str(anne.events[-1])


def test_a_cut_between_two_of_three_downs_nobody() -> None:
    """As long as carl sees both, anne and bob only have opinions about each other, however long it takes."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.cut(anne, bob)
    town.pass_time(100)
    assert anne.story(bob) == bob.story(anne) == ["up", "unreachable"]
    assert carl.sees(anne) is carl.sees(bob) is UP
    town.heal(anne, bob)
    town.settle()
    assert anne.story(bob) == bob.story(anne) == ["up", "unreachable", "reachable"]
    assert anne.view.incarnation == 1


def test_a_chain_of_links_keeps_everybody_in() -> None:
    """Who is reached through several others is not down either."""
    town = ModelCluster("a", "b", "c", "d", "e")
    for one in range(5):
        for other in range(one + 2, 5):
            town.cut(town.nodes[one], town.nodes[other])
    town.pass_time(100)
    assert not any(isinstance(event, MemberDown) for node in town.nodes for event in node.events)


@pytest.mark.parametrize("size", [1, 2])
def test_a_full_partition_downs_the_other_side(size: int) -> None:
    """Each side gives up the other after the time, not before, and all of one side do."""
    town = ModelCluster("anne", "bob", "carl", "dave")
    one, other = town.nodes[:size], town.nodes[size:]
    town.separate(one, other)
    town.pass_time(9)
    assert not any(isinstance(event, MemberDown) for node in town.nodes for event in node.events)
    town.pass_time(2)
    for mine, theirs in ((one, other), (other, one)):
        for node in mine:
            assert all(node.story(lost) == ["up", "unreachable", "down"] for lost in theirs)
            assert all(node.sees(friend) is UP for friend in mine if friend is not node)


def test_who_was_down_returns_with_a_higher_incarnation() -> None:
    """After the heal both sides come back as new incarnations, and frames of the old ones are refused."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.separate([anne, bob], [carl])
    town.pass_time(11)
    assert not anne.view.admits(carl.id, 1)
    town.heal_all()
    town.settle()
    assert anne.story(carl) == carl.story(anne) == ["up", "unreachable", "down", "up"]
    assert [node.view.incarnation for node in town.nodes] == [2, 2, 2]
    assert anne.view.admits(carl.id, 2)
    town.pass_time(30)
    assert [node.view.incarnation for node in town.nodes] == [2, 2, 2]
    town.separate([anne, bob], [carl])
    town.pass_time(11)
    town.heal_all()
    town.settle()
    assert anne.view.incarnation == carl.view.incarnation == 3


def test_a_restarted_node_is_another_one() -> None:
    """The old identity is down, the new one is up, also when both have the same name."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    again = town.restart(carl)
    town.settle()
    assert anne.story(carl)[-1] == bob.story(carl)[-1] == "down"
    assert anne.story(again) == bob.story(again) == ["up"]
    assert [member.name for member in anne.view.members()] == ["bob", "carl"]


def test_what_changed_behind_a_cut_is_told() -> None:
    """Who became up, or began to leave, while it was unreachable has an event for that when it is back."""
    town = ModelCluster("anne", "bob", "carl")
    anne, _, carl = town.nodes
    late = town.start("late", JOINING)
    town.settle()
    town.cut(anne, late)
    town.cut(anne, carl)
    town.settle()
    town.become(late, UP)
    town.become(carl, LEAVING)
    town.heal_all()
    town.settle()
    assert anne.story(late) == ["joining", "unreachable", "reachable", "up"]
    assert anne.story(carl) == ["up", "unreachable", "reachable", "leaving"]


def test_a_leaving_node_is_never_taken_back() -> None:
    """Who was leaving when its link broke has left, even if it is seen again before it goes."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.become(carl, LEAVING)
    town.settle()
    town.cut(anne, carl)
    town.settle()
    town.heal(anne, carl)
    town.pass_time(5)
    assert anne.story(carl) == ["up", "leaving", "left"]
    assert bob.sees(carl) is LEAVING
    assert carl.view.incarnation == 1


def test_a_newcomer_hears_of_the_unreachable_and_has_a_vote() -> None:
    """Who joins during a partition tries the lost one too; it is no member there before it is met."""
    town = ModelCluster("anne", "bob")
    anne, bob = town.nodes
    town.cut(anne, bob)
    town.settle()
    carl = town.start("carl", apart_from=[bob])
    town.deliver_all()
    assert carl.sees(bob) is None
    assert [member.node_id for member in carl.view.out_of_reach()] == [bob.id]
    town.dial()
    assert [suspicion.node for suspicion in carl.view.suspicions()] == [bob.id]
    town.pass_time(12)
    assert anne.story(bob)[-1] == "down"
    assert carl.story(bob) == []
    town.heal_all()
    town.settle()
    assert carl.story(bob) == ["up"]
    assert carl.sees(bob) is UP


def test_a_lost_one_without_an_address_is_not_waited_for() -> None:
    """There is nothing to try, so the vote is given at once."""
    view = View(new_node_id(), OPTIONS)
    lost = NodeId("f" * 32)
    view.present(NodeId("a" * 32), Facts("anne", UP, unreachable=(Suspicion(lost, 1, "lost"),)), 0)
    assert [suspicion.node for suspicion in view.suspicions()] == [lost]


def test_a_neighbors_verdict_is_followed() -> None:
    """Whoever cannot see a node either adopts that it is down, or that it has left, without waiting again."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.separate([anne], [bob, carl])
    town.pass_time(5)
    town.leave(carl)
    town.settle()
    town.heal(anne, bob)
    town.settle()
    assert anne.story(carl) == ["up", "unreachable", "left"]


def test_a_neighbors_old_verdict_downs_nobody_who_is_seen() -> None:
    """A verdict from behind a partition does not count while another neighbor sees the member."""
    town = ModelCluster("anne", "bob", "carl", "dave")
    anne, bob, carl, dave = town.nodes
    town.separate([dave], [anne, bob, carl])
    town.cut(anne, bob)
    town.pass_time(11)
    town.heal(anne, dave)
    town.settle()
    assert anne.story(bob) == ["up", "unreachable"]
    assert carl.sees(bob) is UP


WAKE_UPS: dict[str, Callable[[View, NodeId, float], list[MemberEvent]]] = {
    "tick": lambda view, _, now: view.tick(now),
    "absent": lambda view, _, now: view.absent(new_node_id(), now),
    "present": lambda view, _, now: view.present(new_node_id(), Facts("new", UP, observer=True), now),
    "unreached": lambda view, lost, now: view.unreached(lost, now, refused=False),
}


@pytest.mark.parametrize("wake_up", WAKE_UPS)
def test_a_node_that_stood_still_judges_nobody_at_once(wake_up: str) -> None:
    """After a stall the timers begin again, whichever input comes first; then it decides as always."""
    town = ModelCluster("anne", "bob", "carl")
    anne, bob, carl = town.nodes
    town.separate([anne], [bob, carl])
    town.pass_time(9)
    town.now += 60
    anne.note(WAKE_UPS[wake_up](anne.view, bob.id, town.now))
    assert anne.sees(bob) is anne.sees(carl) is UNREACHABLE
    for _ in range(21):
        town.now += 0.5
        anne.note(anne.view.tick(town.now))
    assert anne.stations[bob.id] is anne.stations[carl.id] is DOWN


def test_observers_look_on_without_a_vote() -> None:
    """An observer is present and no member; it does not keep others from deciding, and it decides for itself."""
    town = ModelCluster("anne", "bob")
    anne, bob = town.nodes
    watcher = town.start("watcher", observer=True)
    town.settle()
    assert anne.view.is_observer(watcher.id)
    assert anne.sees(watcher) is None
    assert watcher.sees(anne) is watcher.sees(bob) is UP
    town.cut(anne, bob)
    town.pass_time(11)
    assert anne.story(bob)[-1] == "down"
    town.kill(watcher)
    town.settle()
    assert not anne.view.is_observer(watcher.id)
    assert anne.story(watcher) == []


def test_members_are_remembered_for_the_retention_time_only() -> None:
    """Who is gone is refused for that long, and then forgotten."""
    town = ModelCluster("anne", "bob")
    anne, bob = town.nodes
    town.kill(bob)
    town.settle()
    assert anne.view.farewells() == (Farewell(bob.id, 1, DOWN),)
    town.pass_time(OPTIONS.retention_s - 1)
    assert not anne.view.admits(bob.id, 1)
    town.pass_time(2)
    assert anne.view.farewells() == ()
    assert anne.view.admits(bob.id, 1)


def test_memory_stays_flat_over_many_restarts() -> None:
    """What a view holds is bounded by the restarts within the retention time, and what it says by less."""
    anne = View(new_node_id(), OPTIONS)
    now = 0.0
    for _ in range(5000):
        node = new_node_id()
        now += 1
        anne.present(node, Facts("bob", UP, addresses=("bob.example:1",)), now)
        anne.absent(node, now)
        anne.unreached(node, now, refused=True)
        anne.tick(now)
        assert not anne._records
        assert len(anne._gone) <= OPTIONS.retention_s + 2
        assert len(encode_facts(Facts("anne", UP, unreachable=anne.suspicions(), gone=anne.farewells()))) < 8192


@pytest.mark.parametrize("count", [60])
def test_many_may_be_lost_at_once(count: int) -> None:
    """A node that loses many others at once still can say so, and gives them all up."""
    town = ModelCluster("anne", "bob")
    anne, bob = town.nodes
    lost = [new_node_id() for _ in range(count)]
    for node in lost:
        for view in (anne.view, bob.view):
            view.present(node, Facts(f"n{node[:8]}", UP, addresses=("192.0.2.1:40000",)), town.now)
    for node in lost:
        for view in (anne.view, bob.view):
            view.absent(node, town.now)
    for _ in range(25):
        town.now += 0.5
        for mine, other in ((anne, bob), (bob, anne)):
            mine.view.tick(town.now)
            encode_facts(mine.facts())
            other.view.present(mine.id, mine.facts(), town.now)
    assert not anne.view.out_of_reach()
    assert not bob.view.out_of_reach()


# --- facts on the wire ---------------------------------------------------------------------------------------

FACTS = st.builds(
    Facts,
    st.text(max_size=8),
    st.sampled_from([JOINING, UP, LEAVING]),
    st.integers(1, 2**31 - 1),
    st.lists(st.text(max_size=8), max_size=3).map(tuple),
    metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    wire_names=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)


@given(FACTS)
def test_facts_survive_the_wire(facts: Facts) -> None:
    """What a node says arrives as it was said."""
    assert decode_facts(encode_facts(facts)) == facts


@given(st.binary(max_size=60), FACTS, st.integers(0, 10**6), st.integers(1, 255))
def test_any_bytes_are_facts_or_a_codec_error(garbage: bytes, facts: Facts, position: int, flip: int) -> None:
    """Reading raises nothing but :class:`CodecError`, for garbage and for facts that were damaged."""
    damaged = bytearray(encode_facts(facts))
    damaged[position % len(damaged)] ^= flip
    for data in (garbage, bytes(damaged)):
        try:
            decode_facts(data)
        except CodecError:
            continue


@pytest.mark.parametrize(
    "facts",
    [
        Facts("anne", DOWN),
        Facts("anne", UNREACHABLE),
        Facts("anne", UP, 0),
        Facts("anne", UP, 2**32),
        Facts("anne", UP, gone=(Farewell(NodeId("a"), 1, UP),)),
        Facts("anne", UP, gone=(Farewell(NodeId("a"), 2**32 - 1, DOWN),)),
        Facts("anne", UP, gone=(Farewell(NodeId("a"), -1, LEFT),)),
    ],
)
def test_what_nobody_can_truly_say_is_refused(facts: Facts) -> None:
    """A node is not down by its own word, and nobody is gone with an incarnation that leaves no room for the next."""
    with pytest.raises(CodecError):
        decode_facts(encode_facts(facts))


def test_an_incarnation_that_was_refuted_fits_the_wire() -> None:
    """The highest incarnation that may be called down is followed by one that others accept."""
    view = View(new_node_id(), OPTIONS)
    highest = Facts("anne", UP, gone=(Farewell(view._me, 2**31 - 1, DOWN),))
    view.present(new_node_id(), decode_facts(encode_facts(highest)), 0)
    assert decode_facts(encode_facts(Facts("me", UP, view.incarnation))).incarnation == 2**31


def test_too_many_facts_are_refused_where_they_are_said() -> None:
    """Metadata that would not fit is an error of the node that says it."""
    with pytest.raises(CodecError, match="shorten its metadata"):
        encode_facts(Facts("anne", UP, metadata={"long": "x" * 20_000}))


# --- any story -----------------------------------------------------------------------------------------------

ACTS: dict[str, Callable[[ModelCluster, ModelNode, ModelNode], object]] = {
    "cut": lambda town, one, other: one is other or town.cut(one, other),
    "heal": lambda town, one, other: town.heal(one, other),
    "kill": lambda town, one, _: len(town.living()) > 2 and town.kill(one),
    "restart": lambda town, one, _: town.restart(one),
    "leave": lambda town, one, _: len(town.living()) > 2 and town.leave(one),
    "say leaving": lambda town, one, _: len(town.living()) > 2 and town.become(one, LEAVING),
    "dial": lambda town, _one, _other: town.dial(),
    "tick": lambda town, _one, _other: town.tick(),
    "wait": lambda town, _one, _other: wait_without_downing_who_is_seen(town, 11),
}
STEPS = st.lists(
    st.tuples(st.sampled_from([*ACTS, *["deliver"] * 3]), st.integers(0, 5), st.integers(0, 5)), max_size=40
)


def act(town: ModelCluster, verb: str, first: int, second: int) -> None:
    living = town.living()
    if verb == "deliver":
        town.deliver(first)
    else:
        ACTS[verb](town, living[first % len(living)], living[second % len(living)])


def wait_without_downing_who_is_seen(town: ModelCluster, seconds: float) -> None:
    """Let all words arrive, then let time pass over an unchanged network, and look at whom that downs."""
    town.settle()
    town.settle()
    seen = {node.id: len(node.events) for node in town.nodes}
    town.pass_time(seconds)
    for node in town.living():
        for event in node.events[seen[node.id] :]:
            if isinstance(event, MemberDown):
                target = next(other for other in town.nodes if other.id == event.member.node_id)
                assert not town.somebody_sees(node, target), f"{node.name}: {event}"


@settings(max_examples=500, deadline=None)
@given(st.integers(2, 5), STEPS)
def test_any_story_keeps_the_rules(count: int, steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whatever order: the events follow the diagram, and a heal brings agreement.

    The rules themselves are checked with every event, see :class:`ModelNode`. At the end all links are mended, and then
    every living node has every other living node as up, and nobody else.
    """
    town = ModelCluster(*"abcdef"[:count])
    for step in steps:
        act(town, *step)
    for node in town.living():
        if node.status is LEAVING:
            town.kill(node)
    town.heal_all()
    town.pass_time(15)
    for node in town.living():
        members = {member.node_id: member.status for member in node.view.members()}
        assert members == {other.id: MemberStatus.UP for other in town.living() if other is not node}
        assert not node.view.out_of_reach()
