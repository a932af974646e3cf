"""What is explored: who is in, who claims what, and what may go wrong meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from tests.registry.claims_model import Notice, home_of, key_at
from tests.registry.exploring import Scenario

T = TypeVar("T")

WHOLE = {"A": 1, "B": 1, "C": 1}


def each(nodes: Iterable[str], has: T) -> dict[str, T]:
    return dict.fromkeys(nodes, has)


def steady(home: str = "C", claims: str = "AB", **more: Any) -> Scenario:
    """Three nodes in one view, which claim one name."""
    key = key_at(home, "ABC")
    more["unregister"] = each(more.get("unregister", ""), [key])
    return Scenario("ABC", each("ABC", WHOLE), each(claims, [key]), **more)


def crash(home: str, claims: str = "ABC", **more: Any) -> Scenario:
    """Of three nodes C crashes, before or after it has claimed, granted, told anybody."""
    gone = Notice("C is down", gone=("C",), down=("C",), since="crash")
    return steady(home, claims, crash="C", notices=each("AB", [gone]), **more)


def join(home: str, then: str, claims: str = "ABC", **more: Any) -> Scenario:
    """C joins A and B; the home of the name was ``home``, and is ``then``."""
    key = moving_key("AB", home, "ABC", then)
    return Scenario(
        "ABC",
        each("ABC", {"A": 1, "B": 1}),
        each(claims, [key]),
        present={"A": "B", "B": "A", "C": "AB"},
        notices=each("AB", [Notice("C is up", (("C", 1),), came=("C",))]) | {"C": [Notice("up", (("C", 1),))]},
        **more,
    )


def join_and_crash(then: str, claims: str = "ABC", crashes: str = "A", **more: Any) -> Scenario:
    """C joins A and B while A crashes; each node notices that in any order, and may see C before or without A."""
    others = [node for node in "ABC" if node != crashes]
    down = Notice(f"{crashes} is down", gone=(crashes,), down=(crashes,), since="crash")
    up = Notice("C is up", (("C", 1),), came=("C",))
    notices = {node: [down] for node in others}
    for node in "AB":
        notices.setdefault(node, []).append(up)
    notices["C"] = [*notices.get("C", []), Notice("up", (("C", 1),))]
    if crashes == "C":  # who joined is seen to come before it is seen to go
        notices = {node: [up, down._replace(after=(up.name,))] for node in others} | {"C": notices["C"]}
    return Scenario(
        "ABC",
        each("ABC", {"A": 1, "B": 1}),
        each(claims, [moving_key("AB", "A" if then == "A" else "B", "ABC", then)]),
        present={"A": "B", "B": "A", "C": "AB"},
        notices=notices,
        crash=crashes,
        **more,
    )


def partition_of_two(home: str, **more: Any) -> Scenario:
    """A and C lose each other, and come together again."""
    whole = {"A": 1, "C": 1}

    def side(me: str, other: str) -> list[Notice]:
        split = Notice("split", gone=(other,), down=(other,), since="cut")
        return [split, Notice("healed", ((me, 2), (other, 2)), came=(other,), since="heal", after=("split",))]

    return Scenario(
        "AC",
        each("AC", whole),
        each("AC", [key_at(home, whole)]),
        notices={"A": side("A", "C"), "C": side("C", "A")},
        cut=[("A", "C")],
        may_be_two=True,
        **more,
    )


def partition(home: str, claims: str = "AC", **more: Any) -> Scenario:
    """A and B are cut off from C until all have given up the other side, and come together again."""
    key = key_at(home, "ABC")

    def side(me: str, others: str, friends: str) -> list[Notice]:
        split = Notice("split", gone=tuple(others), down=tuple(others), since="cut")
        back = [
            Notice(f"{node} is back", ((node, 2), (me, 2)), came=(node,), since="heal", after=("split",))
            for node in others
        ]
        changed = [Notice(f"{node} has come back", ((node, 2),), since="heal", after=("split",)) for node in friends]
        return [split, *back, *changed]

    return Scenario(
        "ABC",
        each("ABC", WHOLE),
        each(claims, [key]),
        notices={"A": side("A", "C", "B"), "B": side("B", "C", "A"), "C": side("C", "AB", "")},
        cut=[("A", "C"), ("B", "C")],
        may_be_two=True,
        **more,
    )


def moving_key(before: str, home: str, after: str, then: str) -> str:
    """Return the key of a name whose home moves so when the members change so."""
    return next(key for n in itertools.count() if home_of(key := key_at(home, before, n), after) == then)


def leave(home: str, claims: str = "ABC", **more: Any) -> Scenario:
    """C leaves: it claims and decides nothing more, and has its names until it has ended."""
    away = Notice("C leaves", leaving=("C",), since="C leaves")
    notices = {"A": [away], "B": [away], "C": [away._replace(since="", tells="C leaves")]}
    return steady(home, claims, notices=notices, **more)


def flap(home: str, claims: str = "AC", **more: Any) -> Scenario:
    """A takes C for out of touch and in touch again, which nobody else notices."""
    notices = [Notice("C is out", gone=("C",)), Notice("C is in", (("C", 1),), after=("C is out",))]
    return steady(home, claims, notices={"A": notices}, **more)


def flap_after_a_partition(home: str, claims: str = "AC", **more: Any) -> Scenario:
    """While a conflict waits to be decided, B takes A for out of touch and in touch again."""
    scenario = partition(home, claims, **more)
    healed = ("A has come back", "C is back")
    out = Notice("A is out", gone=("A",), after=healed)
    notices = [*scenario.notices["B"], out, Notice("A is in", (("A", 2),), after=(out.name,))]
    return replace(scenario, notices={**scenario.notices, "B": notices})
