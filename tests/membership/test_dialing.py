"""Which addresses are tried, and when."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from foundation.core.backoff import Backoff
from foundation.core.identity import NodeId
from foundation.membership.dialing import DialPlan
from foundation.membership.options import MembershipOptions

ANNE, BOB = NodeId("a" * 32), NodeId("b" * 32)
OPTIONS = MembershipOptions(
    redial=Backoff(first_s=1, most_s=8, jitter=0), refused_again_s=30, retention_s=100, most_dials=3
)
NOBODY: set[NodeId] = set()


def plan(*addresses: str, node: NodeId | None = None) -> DialPlan:
    made = DialPlan(OPTIONS)
    made.want(addresses, node, 0)
    return made


def test_a_new_address_is_due_at_once_and_once() -> None:
    """It is given out for dialing one time until the outcome is known."""
    made = plan("x")
    assert made.due(NOBODY, 0) == ["x"]
    assert made.due(NOBODY, 0) == []
    assert made.is_dialing()
    assert made.next_due(NOBODY) is None


def test_failures_wait_longer_each_time() -> None:
    """The delays grow up to the longest; wanting the address again changes nothing, unless it is wanted at once."""
    made = plan("x")
    now = 0.0
    for wait_s in (1, 2, 4, 8, 8):
        assert made.due(NOBODY, now) == ["x"]
        made.failed("x", now, 0.5)
        made.want(["x"], None, now)
        assert made.next_due(NOBODY) == now + wait_s
        assert made.due(NOBODY, now + wait_s - 0.01) == []
        now += wait_s
    made.due(NOBODY, now)
    made.failed("x", now, 0.5)
    made.want(["x"], None, now, at_once=True)
    assert made.due(NOBODY, now) == ["x"]


def test_a_refusal_waits_long() -> None:
    """A door that refused this node is left alone for the time set."""
    made = plan("x")
    made.due(NOBODY, 0)
    made.failed("x", 0, 0.5, refused=True)
    assert made.next_due(NOBODY) == 30


def test_the_address_of_a_present_node_is_left_alone() -> None:
    """Nobody dials whom it sees, and it is tried at once when it is no longer seen."""
    made = plan("x", node=ANNE)
    assert made.due({ANNE}, 0) == []
    assert made.next_due({ANNE}) is None
    assert made.due({BOB}, 5) == ["x"]


def test_an_address_that_was_reached_is_not_dialed_again_at_once() -> None:
    """The presence of who lives there takes a moment to show; meanwhile there is no second dial."""
    made = plan("x")
    made.due(NOBODY, 0)
    made.reached("x", ANNE, 0)
    assert made.due(NOBODY, 0) == []
    assert made.due({ANNE}, 50) == []
    assert made.due(NOBODY, 50) == ["x"]


def test_an_own_address_is_never_tried_again() -> None:
    """Discovery brings it again and again."""
    made = plan("x")
    made.due(NOBODY, 0)
    made.is_own("x")
    made.want(["x"], ANNE, 1, at_once=True)
    assert made.leads_back("x")
    assert made.due(NOBODY, 100) == []


def test_only_so_many_are_dialed_at_once() -> None:
    """The others follow when one is done."""
    made = plan("1", "2", "3", "4", "5")
    assert made.due(NOBODY, 0) == ["1", "2", "3"]
    made.failed("2", 0, 0.5)
    assert made.due(NOBODY, 0) == ["4"]


def test_who_has_left_is_forgotten() -> None:
    """All its addresses go, those of others stay."""
    made = DialPlan(OPTIONS)
    made.want(["x", "y"], ANNE, 0)
    made.want(["z"], BOB, 0)
    made.forget(ANNE, 0)
    assert made.due(NOBODY, 0) == ["z"]


def test_an_address_that_was_given_without_a_node_waits_for_the_next() -> None:
    """Whoever lives there is wanted: when one has left, another may start there."""
    made = plan("x")
    made.due(NOBODY, 0)
    made.reached("x", ANNE, 0)
    made.forget(ANNE, 5)
    assert made.next_due(NOBODY) == 6
    assert made.due(NOBODY, 6) == ["x"]


def test_many_addresses_share_the_dials_of_a_few() -> None:
    """The delay grows with the number of those that are sought, so the dials per second do not."""
    made = DialPlan(replace(OPTIONS, most_dials=100))
    addresses = [str(number) for number in range(32)]
    made.want(addresses, None, 0)
    assert made.due(NOBODY, 0) == addresses
    for address in addresses:
        made.failed(address, 0, 0.5)
    assert made.next_due(NOBODY) == 8
    made.want(["elsewhere"], ANNE, 0)
    assert made.due({ANNE}, 8) == addresses


def test_what_was_never_tried_comes_before_what_failed() -> None:
    """Others wait for this node's opinion of each member."""
    made = plan("1", "2", "3")
    for address in made.due(NOBODY, 0):
        made.failed(address, 0, 0.5)
    made.want(["4"], None, 5)
    assert made.due(NOBODY, 5) == ["4", "1", "2"]


def test_nothing_is_due_while_as_many_are_dialed_as_may_be() -> None:
    """Who dials is woken when one of them ends, and need not look before."""
    made = plan("1", "2", "3", "4")
    made.due(NOBODY, 0)
    assert made.next_due(NOBODY) is None
    made.failed("1", 0, 0.5)
    assert made.next_due(NOBODY) == 0


def test_an_address_that_nobody_wants_any_more_is_dropped() -> None:
    """After the retention time a failure is the last; discovery may bring the address back."""
    made = plan("x")
    made.due(NOBODY, 101)
    made.failed("x", 101, 0.5)
    assert made.next_due(NOBODY) is None
    made.want(["x"], None, 102)
    assert made.due(NOBODY, 102) == ["x"]


def test_what_is_unknown_may_be_reported() -> None:
    """The outcome of a dial that was forgotten meanwhile changes nothing."""
    made = plan()
    made.failed("x", 0, 0.5)
    made.reached("x", ANNE, 0)
    assert made.next_due(NOBODY) is None


VERBS = st.sampled_from(["want", "at_once", "due", "due", "failed", "refused", "reached", "own", "forget"])
STEPS = st.lists(st.tuples(VERBS, st.sampled_from("uvwxyz"), st.sampled_from([ANNE, BOB]), st.floats(0, 40)))


class CheckedPlan:
    """A plan, and what must be true of it after each step."""

    def __init__(self) -> None:
        self.plan = DialPlan(OPTIONS)
        self.dialing: set[str] = set()
        self.own: set[str] = set()

    def step(self, verb: str, address: str, node: NodeId, now: float) -> None:
        if verb in {"want", "at_once"}:
            self.plan.want([address], node, now, at_once=verb == "at_once")
        elif verb == "due":
            self.dial({node}, now)
        elif verb == "forget":
            self.plan.forget(node, now)
            self.dialing &= self.plan._targets.keys()
        elif address in self.dialing:
            self.dialing.discard(address)
            self.end(verb, address, node, now)

    def dial(self, present: set[NodeId], now: float) -> list[str]:
        due = self.plan.due(present, now)
        assert not (self.dialing | self.own) & set(due)
        self.dialing |= set(due)
        assert len(self.dialing) <= OPTIONS.most_dials
        assert self.plan.is_dialing() == bool(self.dialing)
        return due

    def end(self, verb: str, address: str, node: NodeId, now: float) -> None:
        if verb == "reached":
            self.plan.reached(address, node, now)
        elif verb == "own":
            self.own.add(address)
            self.plan.is_own(address)
        else:
            self.plan.failed(address, now, 0.5, refused=verb == "refused")


@given(STEPS)
def test_any_order_of_outcomes_keeps_the_plan_sound(steps: list[tuple[str, str, NodeId, float]]) -> None:
    """Never more dials than allowed, none twice, none to an own address; and what is due next is then given out."""
    checked = CheckedPlan()
    now = 0.0
    for verb, address, node, passed_s in steps:
        now += passed_s
        checked.step(verb, address, node, now)
    for address in sorted(checked.dialing):
        checked.step("failed", address, ANNE, now)
    for _ in range(10):
        if (next_due := checked.plan.next_due(NOBODY)) is not None:
            now = max(now, next_due)
            due = checked.dial(NOBODY, now)
            assert due
            for address in due:
                checked.step("reached", address, ANNE, now)
