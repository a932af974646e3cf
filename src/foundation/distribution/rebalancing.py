"""Move children to nodes that join, or are drained no more, a few at a time, once no more do; only if that is wanted.

Only children that are placed by their names move: of those all nodes say the same, so that no child moves twice.
"""

from __future__ import annotations

import asyncio
import logging

from foundation.core.identity import NodeId
from foundation.distribution.messages import Order
from foundation.distribution.mover import Mover
from foundation.distribution.options import DistributionOptions
from foundation.distribution.places import Places
from foundation.distribution.runner import Runner
from foundation.membership import MemberDown, MemberEvent, MemberLeft, MemberUp

logger = logging.getLogger(__name__)


class Rebalancing:
    """Moves children of this node to where they would be put now."""

    def __init__(self, runner: Runner, mover: Mover, places: Places, options: DistributionOptions) -> None:
        self._runner = runner
        self._mover = mover
        self._places = places
        self._options = options
        self._joins = 0
        self._joined = asyncio.Event()
        self._drained: set[NodeId] = set()
        """Members that take no children, as they said last."""

    def happened(self, event: MemberEvent) -> None:
        """Take what happens to other nodes: one that joins takes children, and so does one that is drained no more."""
        node = event.member.node_id
        was_drained = node in self._drained
        self._drained.discard(node)
        if isinstance(event, MemberDown | MemberLeft):
            return
        if event.member.draining:
            self._drained.add(node)
        elif self._options.rebalance and (was_drained or isinstance(event, MemberUp)):
            self._joins += 1
            self._joined.set()

    async def run(self) -> None:
        """Rebalance after joins, as long as this node runs."""
        while True:
            await self._joined.wait()
            joins = -1
            while joins != self._joins:
                joins = self._joins
                await asyncio.sleep(self._options.rebalance_after_s)
            self._joined.clear()
            await self._move(self._runner.orders(self._runner.placed_by("hash")), joins)

    async def _move(self, orders: list[Order], joins: int) -> None:
        moved = 0
        for order, node in zip(orders, self._places.choose(orders), strict=True):
            if joins != self._joins or not self._options.rebalance:  # after another join all is new
                break
            if node is None or node == self._runner.node:
                continue
            outcome = await self._mover.move(order.name, node)
            moved += outcome.result == "started"
            await asyncio.sleep(1 / self._options.rebalance_per_s)
        if moved:
            logger.info("%d children were moved to nodes that have joined", moved)
