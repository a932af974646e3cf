"""Which member a child is to run on: a function of the child's name, its placement and the members. Pure.

Source of ``hash``: rendezvous hashing, see :mod:`foundation.core.rendezvous`; with weights as Schindelhauer and
Schomaker 2005 give them. A member's weight is the number ``weight`` in its metadata, 1 by default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence

from foundation.core.identity import NodeId
from foundation.core.rendezvous import Candidates
from foundation.distribution.plan import Placement
from foundation.membership import Member, MemberStatus

Chooser = Callable[[str], NodeId | None]
OwnStrategy = Callable[[str, Sequence[Member]], Member]


def objection(member: Member, wire_name: str, placement: Placement) -> str | None:
    """Say why a member cannot run a child; None when it can."""
    conditions = (
        (member.status is not MemberStatus.UP, f"it is {member.status}"),
        (member.draining, "it is being drained"),
        (member.degraded, "its event loop stands still"),
        (placement.node not in {None, member.name}, f"the child is for {placement.node}"),
        (wire_name not in member.wire_names, f"it has not imported {wire_name}"),
    )
    if (unfit := next((why for is_so, why in conditions if is_so), None)) is not None:
        return unfit
    if missing := [role for role in placement.roles if role not in member.roles]:
        return f"it lacks the role {missing[0]}"
    lacking = [key for key, value in placement.metadata.items() if member.metadata.get(key) != value]
    return f"its metadata do not say {lacking[0]}={placement.metadata[lacking[0]]}" if lacking else None


def eligible(members: Iterable[Member], wire_name: str, placement: Placement) -> list[Member]:
    """Return who can run a child, in the same order on every node."""
    found = [member for member in members if objection(member, wire_name, placement) is None]
    return sorted(found, key=lambda member: member.node_id)


def weight_of(member: Member) -> float:
    """Return how large a share of the children a member is to have; what is no such number counts as 1."""
    try:
        weight = float(member.metadata.get("weight", 1))
    except ValueError:
        return 1.0
    return weight if 0 < weight < math.inf else 1.0


def by_hash(members: Sequence[Member]) -> Chooser:
    """Choose by the child's name; all nodes that know the same members choose the same."""
    weights = {member.node_id: weight_of(member) for member in members}
    return Candidates(weights, weights).first


def by_load(members: Sequence[Member]) -> Chooser:
    """Choose whoever runs the fewest processes for its weight, counting those that were chosen here."""
    loads = {member.node_id: member.processes for member in members}
    weights = {member.node_id: weight_of(member) for member in members}

    def choose(_key: str) -> NodeId:
        node = min(loads, key=lambda node: ((loads[node] + 1) / weights[node], node))
        loads[node] += 1
        return node

    return choose


def by_chance(members: Sequence[Member], draw: Callable[[], float]) -> Chooser:
    """Choose at random, by weight."""
    weights = [weight_of(member) for member in members]

    def choose(_key: str) -> NodeId:
        left = draw() * sum(weights)
        for member, weight in zip(members, weights, strict=True):
            left -= weight
            if left < 0:
                return member.node_id
        return members[-1].node_id

    return choose


def chooser(
    strategy: str,
    members: Sequence[Member],
    asker: NodeId,
    draw: Callable[[], float],
    own: Callable[[str], OwnStrategy],
) -> Chooser:
    """Return what chooses among eligible members; ``own`` finds a function of the user's by ``module:function``."""
    if not members:
        return lambda _key: None
    match strategy:
        case "hash":
            return by_hash(members)
        case "least_loaded":
            return by_load(members)
        case "random":
            return by_chance(members, draw)
        case "local":
            is_there = any(member.node_id == asker for member in members)
            return (lambda _key: asker) if is_there else by_hash(members)
        case _:
            function = own(strategy)
            return lambda key: function(key, members).node_id


def kept_apart(members: Sequence[Member], taken: Collection[NodeId]) -> Sequence[Member]:
    """Leave out who has one of those already that are to be kept apart, unless nobody is left then."""
    return [member for member in members if member.node_id not in taken] or members
