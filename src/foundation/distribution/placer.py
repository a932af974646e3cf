"""The home of a child's name: it sees to it that the child runs somewhere, once.

Consistency: homes are those of the names (:mod:`foundation.registry.claims`), so one node at a time decides about a
child, as far as the members agree who is in; what it decides still has to be granted to whoever runs the child.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.distribution.desk import desk_of
from foundation.distribution.messages import ChildReport, Order, Outcome
from foundation.distribution.options import DistributionOptions
from foundation.distribution.places import Places
from foundation.distribution.runner import Runner
from foundation.errors import CallError, FoundationError
from foundation.processes import Host, options
from foundation.registry import NAMES, Names

logger = logging.getLogger(__name__)

_ROW_S = 0.05
"""Seconds that the row of a child takes, which has begun to run at another node, until that is asked again."""


_Beginning = tuple[Order, asyncio.Future[Outcome]]


@dataclass(slots=True)
class _Trouble:
    """An orphan that could not be started yet."""

    failures: int = 0
    not_before: float = 0.0
    excluded: set[NodeId] = field(default_factory=set[NodeId])
    why: str = ""
    last_error: str = ""


class Placer:
    """Places children whose names have their home here."""

    def __init__(
        self,
        host: Host,
        names: Names,
        places: Places,
        runner: Runner,
        tasks: TaskScope,
        options: DistributionOptions,
        clock: Clock,
    ) -> None:
        self._host = host
        self._names = names
        self._places = places
        self._runner = runner
        self._tasks = tasks
        self._options = options
        self._clock = clock
        self._beginning: dict[str, _Beginning] = {}
        """Children that are being started for the first time, on behalf of this node."""
        self._adopting: set[str] = set()
        self._troubles: dict[str, _Trouble] = {}
        self._due = asyncio.Event()

    def look(self) -> None:
        """See whether there are orphans to find a place for."""
        if self._names.children.orphans:
            self._due.set()

    def reports(self) -> list[ChildReport]:
        """Describe the orphans that this node is to find a place for."""
        found: list[ChildReport] = []
        for key in self._names.children.orphans:
            best = self._names.children.best(key)
            if best is not None and self._names.claims.home(key) == self._host.node_id:
                trouble = self._troubles.get(key)
                why = trouble.why if trouble else f"its node {best[0][:8]} is gone, and it is being started elsewhere"
                found.append(ChildReport(key[1:], best[1].wire_name, None, 0, why))
        return found

    # --- children that begin to live

    async def place(self, orders: list[Order]) -> list[Outcome]:
        """Find places for new children; one outcome for each."""
        outcomes: dict[int, Outcome] = {}
        new: list[int] = []
        awaited: dict[int, _Beginning] = {}
        for number, order in enumerate(orders):
            known = self._known(order)
            if isinstance(known, tuple):
                awaited[number] = known
            elif known is not None:
                outcomes[number] = known
            else:
                self._beginning[order.name] = (order, asyncio.get_running_loop().create_future())
                new.append(number)
        try:
            outcomes |= dict(zip(new, await self._run([orders[number] for number in new]), strict=True))
        finally:
            for number in new:
                _, future = self._beginning.pop(orders[number].name)
                future.set_result(outcomes.get(number, Outcome("retry")))
        for number, beginning in awaited.items():
            outcomes[number] = await _once_begun(beginning, orders[number])
        return [outcomes[number] for number in range(len(orders))]

    def _known(self, order: Order) -> Outcome | _Beginning | None:
        """Return what is clear about an order without starting anything."""
        key = NAMES + order.name
        if self._names.claims.home(key) != self._host.node_id:
            return Outcome("retry", "the home of its name is another node")
        if (beginning := self._beginning.get(order.name)) is not None:
            return beginning
        if (alive := self._names.children.alive(key)) is not None:
            row = alive[1]
            return Outcome("exists" if (row.plan, row.wire_name) == (order.plan, order.wire_name) else "conflict")
        if self._names.index.is_held(key):
            return Outcome("taken", "it is the name of a process that is no distributed child")
        return None

    async def _run(self, orders: list[Order]) -> list[Outcome]:
        """Have children run where they are to, or where they are taken; one outcome for each."""
        outcomes: dict[int, Outcome] = {}
        declined: dict[str, set[NodeId]] = {}
        left = list(range(len(orders)))
        while left:
            some = [orders[number] for number in left]
            try:
                chosen = self._places.choose(some, lambda order: declined.get(order.name, ()))
            except FoundationError as error:
                return [Outcome("failed", str(error))] * len(orders)
            for at, outcome in await self._outcomes(some, chosen):
                outcomes[left[at]] = outcome
                if outcome.result == "declined" and (node := chosen[at]) is not None:
                    declined.setdefault(some[at].name, set()).add(node)
            left = [number for number in left if outcomes[number].result == "declined"]
        return [outcomes[number] for number in range(len(orders))]

    async def _outcomes(self, orders: list[Order], chosen: list[NodeId | None]) -> list[tuple[int, Outcome]]:
        found = [
            (number, Outcome("nowhere", self._places.objections(orders[number])))
            for number, node in enumerate(chosen)
            if node is None
        ]
        for numbers, results in await self._run_each(orders, chosen):
            found += zip(numbers, results, strict=True)
        return found

    async def _run_each(
        self, orders: list[Order], chosen: list[NodeId | None]
    ) -> list[tuple[list[int], list[Outcome]]]:
        by_node: dict[NodeId, list[int]] = {}
        for number, node in enumerate(chosen):
            if node is not None:
                by_node.setdefault(node, []).append(number)
        tasks = {
            self._tasks.start(self._run_at(node, [orders[number] for number in numbers]), f"run at {node[:8]}"): numbers
            for node, numbers in by_node.items()
        }
        if tasks:
            await asyncio.wait(tasks)
        return [(numbers, task.result()) for task, numbers in tasks.items()]

    async def _run_at(self, node: NodeId, orders: list[Order]) -> list[Outcome]:
        if node == self._host.node_id:
            return await self._runner.start_all(orders)
        try:
            desk = options(desk_of(self._host, node), timeout_s=self._options.start_timeout_s)
            return await desk.run(orders)
        except CallError as error:  # what became of them is in the rows, or is an orphan's
            return [Outcome("retry", str(error))] * len(orders)

    # --- children that have lost their node

    async def keep_adopting(self) -> None:
        """Find places for orphans, as long as this node runs."""
        while True:
            await self._due.wait()
            self._due.clear()
            orders = self._orphans()
            for at in range(0, len(orders), self._options.batch):
                some = orders[at : at + self._options.batch]
                self._adopting.update(order.name for order in some)
                self._tasks.start(self._adopt(some), "adopt")
                await asyncio.sleep(0)

    def _orphans(self) -> list[Order]:
        """Return the orphans that this node is to see to now, and come back for those whose time has not come."""
        now, me = self._clock.now(), self._host.node_id
        children, home = self._names.children, self._names.claims.home
        orders: list[Order] = []
        next_at: float | None = None
        self._troubles = {key: trouble for key, trouble in self._troubles.items() if key in children.orphans}
        for key in children.orphans:
            if key[1:] in self._adopting or home(key) != me or (best := children.best(key)) is None:
                continue
            trouble = self._troubles.get(key)
            if trouble is not None and trouble.not_before > now:
                next_at = min(trouble.not_before, next_at or trouble.not_before)
                continue
            orders.append(Order(key[1:], best[1].wire_name, best[1].plan or b"", best[1].life))
        if next_at is not None:
            asyncio.get_running_loop().call_later(next_at - now, self._due.set)
        return orders

    async def _adopt(self, orders: list[Order]) -> None:
        try:
            chosen = self._places.choose(orders, self._excluded)
            for number, node in enumerate(chosen):
                if node is None:
                    self._failed(orders[number], None, self._places.objections(orders[number]))
            for numbers, outcomes in await self._run_each(orders, chosen):
                for number, outcome in zip(numbers, outcomes, strict=True):
                    if outcome.result in {"started", "exists", "taken"}:
                        self._expect(orders[number], f"{outcome.result}: {outcome.text}")
                    else:
                        self._failed(orders[number], chosen[number], f"{outcome.result}: {outcome.text}")
        finally:
            self._adopting.difference_update(order.name for order in orders)
            self.look()

    def _excluded(self, order: Order) -> set[NodeId]:
        trouble = self._troubles.get(NAMES + order.name)
        return set() if trouble is None else trouble.excluded

    def _expect(self, order: Order, why: str) -> None:
        """Wait a little for the row of who has a child now."""
        if NAMES + order.name in self._names.children.orphans:
            trouble = self._troubles.setdefault(NAMES + order.name, _Trouble())
            trouble.why, trouble.not_before = why, self._clock.now() + _ROW_S

    def _failed(self, order: Order, node: NodeId | None, why: str) -> None:
        """Try another node at once, and all of them again after a while."""
        trouble = self._troubles.setdefault(NAMES + order.name, _Trouble())
        if node is None and trouble.excluded:  # by those who could not start it
            why = f"{why}; {trouble.last_error}"
        trouble.why = why
        if node is not None and node not in trouble.excluded:
            trouble.excluded.add(node)
            trouble.last_error = f"at node {node[:8]} {why}"
            logger.warning("child %s could not be started at node %s: %s", order.name, node[:8], why)
            return
        trouble.failures += 1
        trouble.excluded.clear()
        delay_s = self._options.place_again.delay_s(trouble.failures, draw())
        trouble.not_before = self._clock.now() + delay_s
        logger.warning("child %s runs nowhere (%s); again in %.2g s", order.name, why, delay_s)


async def _once_begun(beginning: _Beginning, order: Order) -> Outcome:
    """Say what an order comes to that finds a child of its name about to begin, as soon as that is known."""
    first, future = beginning
    outcome = await asyncio.shield(future)
    is_same = (first.plan, first.wire_name) == (order.plan, order.wire_name)
    if outcome.result in {"started", "exists"}:
        return Outcome("exists" if is_same else "conflict")
    return outcome if is_same else Outcome("retry", "another child of that name was about to begin")
