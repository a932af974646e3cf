"""Choose members for children, by what this node knows of the members and of the other children."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from foundation.core.identity import NodeId
from foundation.core.sources import draw
from foundation.distribution.messages import Order
from foundation.distribution.placement import OwnStrategy, chooser, eligible, kept_apart, objection
from foundation.distribution.plan import Placement, decode_plan
from foundation.errors import ConfigurationError
from foundation.membership import Member
from foundation.registry import NAMES, Names


class Places:
    """Where children may run."""

    def __init__(self, names: Names, members: Callable[[], list[Member]]) -> None:
        self._names = names
        self._members = members

    def choose(
        self, orders: Iterable[Order], without: Callable[[Order], Collection[NodeId]] = lambda _order: ()
    ) -> list[NodeId | None]:
        """Return a member for each child; None where nobody can run it. ``without`` are members not to be chosen."""
        members = self._members()
        choosers: dict[tuple[str, bytes, NodeId], Any] = {}
        found: list[NodeId | None] = []
        for order in orders:
            placement = decode_plan(order.plan).placement
            excluded = without(order)
            if excluded or placement.apart is not None:
                left = [
                    member for member in eligible(members, order.wire_name, placement) if member.node_id not in excluded
                ]
                if placement.apart is not None:
                    left = list(kept_apart(left, self._taken(placement.apart, order.name)))
                found.append(self._chooser(placement, left, order.asker)(NAMES + order.name))
                continue
            kind = (order.wire_name, repr(placement).encode(), order.asker)
            if kind not in choosers:
                choosers[kind] = self._chooser(placement, eligible(members, order.wire_name, placement), order.asker)
            found.append(choosers[kind](NAMES + order.name))
        return found

    def objections(self, order: Order) -> str:
        """Say why nobody can run a child."""
        placement = decode_plan(order.plan).placement
        said = [
            f"{member.name}: {why}"
            for member in self._members()
            if (why := objection(member, order.wire_name, placement))
        ]
        return "; ".join(said) or "all who could have failed to start it"

    def _chooser(
        self, placement: Placement, members: Sequence[Member], asker: NodeId
    ) -> Callable[[str], NodeId | None]:
        return chooser(placement.strategy, members, asker, draw, _own_strategy)

    def _taken(self, apart: str, name: str) -> set[NodeId]:
        """Return who holds a child that shares that word."""
        children = self._names.children
        taken: set[NodeId] = set()
        for key in children:
            best = children.best(key)
            if best is None or best[1].plan is None or key == NAMES + name:
                continue
            if decode_plan(best[1].plan).placement.apart == apart:
                taken.add(best[0])
        return taken


def _own_strategy(where: str) -> OwnStrategy:
    """Find a function of the user's that this program has imported; nothing is imported because a peer named it."""
    module, _, name = where.partition(":")
    function = getattr(sys.modules.get(module), name, None)
    if not callable(function):
        message = f"the placement strategy {where!r} is no function that this node has imported"
        raise ConfigurationError(message)
    return function  # type: ignore[no-any-return]
