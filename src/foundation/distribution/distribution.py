"""Children that are to run somewhere in the cluster, whatever becomes of its nodes.

*Consistency.* While the cluster is whole a child runs exactly once; it follows its name, and a name is unique then. On
both sides of a partition there may be one, and after it the home of the name keeps the older claim, for name and child
alike. A child that was terminated does not come back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from foundation.core import sources
from foundation.core.clock import Clock
from foundation.core.identity import NodeId
from foundation.core.tasks import TaskScope
from foundation.distribution.desk import DESK_SERIAL, Desk, desk_of
from foundation.distribution.every_node import Residents
from foundation.distribution.forgetting import Forgetting
from foundation.distribution.messages import ChildReport, HandOver, Order, Outcome
from foundation.distribution.mover import Mover
from foundation.distribution.options import DistributionOptions
from foundation.distribution.placement import eligible
from foundation.distribution.placer import Placer
from foundation.distribution.places import Places
from foundation.distribution.plan import Placement
from foundation.distribution.rebalancing import Rebalancing
from foundation.distribution.runner import Runner
from foundation.errors import CallError, CallTimeout, NoSuchNameError, NotRunningError
from foundation.membership import Member, MemberEvent, Membership, MemberStatus
from foundation.processes import Host, options
from foundation.registry import NAMES, NameRow, Names
from foundation.replication import Change, Replication, Sync

logger = logging.getLogger(__name__)

_RETRY_S = 0.02
_MOST_RETRY_S = 0.5
_QUIET_WITHIN_S = 2.0


class Distribution:
    """One node's part in running all children; an async context manager. Use it on its own event loop only."""

    def __init__(
        self,
        host: Host,
        names: Names,
        membership: Membership,
        replication: Replication,
        sync: Sync,
        options: DistributionOptions | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.options = options or DistributionOptions()
        self._host = host
        self._names = names
        self._membership = membership
        self._sync = sync
        self._replication = replication
        self._tasks = TaskScope("distribution")
        clock = clock or sources.clock()
        places = Places(names, membership.members)
        self._runner = Runner(host, names, self._tasks, self.options, clock)
        self._placer = Placer(host, names, places, self._runner, self._tasks, self.options, clock)
        self._mover = Mover(host, names, places, self._runner, self._tasks, self.options)
        self._rebalancing = Rebalancing(self._runner, self._mover, places, self.options)
        self._residents = Residents(host, names, membership, self._tasks, self.options, clock)
        self._forgetting = Forgetting(names, membership, replication, sync, self.options)
        replication.watch(NAMES, self._changed)
        host.build_in(DESK_SERIAL, Desk(self))

    async def __aenter__(self) -> Self:
        self._tasks.keep_running(self._placer.keep_adopting, "adopt")
        self._tasks.keep_running(self._residents.run, "run on every node")
        self._tasks.keep_running(self._forgetting.run, "forget")
        self._tasks.keep_running(self._rebalancing.run, "rebalance")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._tasks.close()

    def everybody(self) -> list[NodeId]:
        """Return all members."""
        return [member.node_id for member in self._membership.members()]

    def eligible(self, wire_name: str, placement: Placement) -> list[Member]:
        """Return who can run a child, as far as this node knows."""
        return eligible(self._membership.members(), wire_name, placement)

    # --- on behalf of this node

    async def start(self, orders: list[Order]) -> list[Outcome]:
        """Have children run somewhere; one outcome for each, none of them `retry`."""
        outcomes: dict[int, Outcome] = {}
        left = asked = list(range(len(orders)))
        retry_s = _RETRY_S
        last = Outcome("retry", "the members do not agree yet on who is in")
        try:
            async with asyncio.timeout(self.options.start_timeout_s):
                while left:
                    for number, outcome in await self._start_once(orders, asked):
                        outcomes[number] = outcome
                        last = outcome if outcome.result == "retry" else last
                    left = [number for number in left if not self._is_settled(orders[number], outcomes.get(number))]
                    if left:
                        await asyncio.sleep(retry_s)
                        retry_s = min(2 * retry_s, _MOST_RETRY_S)
                    asked = [
                        number
                        for number in left
                        if retry_s == _MOST_RETRY_S or number not in outcomes or outcomes[number].result == "retry"
                    ]
        except TimeoutError:
            limit_s = self.options.start_timeout_s
            message = f"{len(left)} of {len(orders)} children did not start within {limit_s} s: {last.text}"
            raise CallTimeout(message) from None
        return [outcomes[number] for number in range(len(orders))]

    def _is_settled(self, order: Order, outcome: Outcome | None) -> bool:
        """Tell whether an order needs no more: of a child that runs this node has to have heard itself.

        So a child whose start was confirmed is known here, and lives on when its node and its home die at once.
        """
        if outcome is None or outcome.result == "retry":
            return False
        return outcome.result not in {"started", "exists"} or self._names.is_followed(order.name)

    async def _start_once(self, orders: list[Order], numbers: list[int]) -> list[tuple[int, Outcome]]:
        by_home: dict[NodeId, list[int]] = {}
        for number in numbers:
            if (home := self._names.claims.home(NAMES + orders[number].name)) is not None:
                by_home.setdefault(home, []).append(number)
        batch = self.options.batch
        tasks = {
            self._tasks.start(self._place_at(home, [orders[number] for number in some]), f"place at {home[:8]}"): some
            for home, all_there in by_home.items()
            for some in (all_there[at : at + batch] for at in range(0, len(all_there), batch))
        }
        if tasks:
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                raise
        return [
            (number, outcome)
            for task, some in tasks.items()
            for number, outcome in zip(some, task.result(), strict=True)
        ]

    async def _place_at(self, home: NodeId, orders: list[Order]) -> list[Outcome]:
        if home == self._host.node_id:
            return await self._placer.place(orders)
        try:
            return await options(desk_of(self._host, home), timeout_s=self.options.start_timeout_s).place(orders)
        except CallError as error:  # asked again, it says what has become of them
            return [Outcome("retry", str(error))] * len(orders)

    async def stop_child(self, name: str, timeout_s: float | None = None) -> None:
        """Terminate a child wherever it is; raises NoSuchNameError, CallTimeout.

        When this returns this node has heard of it itself, so that it does not come back as long as this node lives.
        """
        key, life = NAMES + name, self._alive(name)[1].life
        async with _within(timeout_s or self.options.start_timeout_s, f"child {name!r} was not terminated"):
            while (best := self._names.children.alive(key)) is not None and best[1].after < life:
                await self._terminate_at(best[0], name)
                if (best := self._names.children.alive(key)) is not None and best[1].after < life:
                    await asyncio.sleep(_RETRY_S)  # its row is on its way, or the child to another node

    def _alive(self, name: str) -> tuple[NodeId, NameRow]:
        """Return where a child is, as far as this node has heard; raises NoSuchNameError."""
        alive = self._names.children.alive(NAMES + name)
        if alive is None:
            message = f"no distributed child is named {name!r}"
            raise NoSuchNameError(message)
        return alive

    async def _terminate_at(self, node: NodeId, name: str) -> None:
        if node == self._host.node_id:
            await self.terminate(name)
            return
        with suppress(CallError):  # the rows say what has become of it
            await desk_of(self._host, node).terminate(name)

    async def move_to(self, name: str, node: NodeId, timeout_s: float | None = None) -> Outcome:
        """Have a child move to another node; raises NoSuchNameError, CallTimeout."""
        limit_s = timeout_s or self.options.start_timeout_s
        async with _within(limit_s, f"child {name!r} did not come to move"):
            while True:
                holder, _ = self._alive(name)
                if holder == node:
                    return Outcome("exists")
                if holder == self._host.node_id:
                    return await self.migrate(name, node)
                if NAMES + name not in self._names.children.orphans:
                    return await options(desk_of(self._host, holder), timeout_s=limit_s).migrate(name, node)
                await asyncio.sleep(_RETRY_S)

    async def hand_all_over(self) -> None:
        """Leave: take no more children, hand over those that are here as far as anybody can have them, and go quietly.

        Quietly: only when nobody sends calls to children that were here.
        """
        self._runner.is_drained = True
        if not (names := self._runner.names()):
            return
        try:
            async with asyncio.timeout(self.options.leave_timeout_s):
                await self._mover.move_all(names, lambda: self._runner.is_drained)
                await self._until_nobody_calls()
        except TimeoutError:
            left, limit_s = len(self._runner), self.options.leave_timeout_s
            logger.warning("%d children were not handed over within %s s and lose what they know", left, limit_s)

    async def _until_nobody_calls(self) -> None:
        """Wait until all know where the children are now, and what they sent before has arrived and was answered."""
        reachable = self._reachable()
        try:
            await self._sync.wait(lambda: reachable, lambda node: node[:8], _QUIET_WITHIN_S)
        except CallTimeout as error:
            logger.info("some may still call children that were here: %s", error)
        await self._with_each(reachable, self._hear_from, "hear from")

    def _reachable(self) -> list[NodeId]:
        me, present = self._host.node_id, self._replication.present
        return [node for node in self.everybody() if node != me and node in present]

    async def _with_each(
        self, nodes: list[NodeId], work: Callable[[NodeId], Coroutine[Any, Any, None]], what: str
    ) -> None:
        asked = [self._tasks.start(work(node), f"{what} {node[:8]}") for node in nodes]
        if asked:
            await asyncio.wait(asked)

    async def _hear_from(self, node: NodeId) -> None:
        """Ask a node for anything: calls that it has sent before its answer are here then."""
        with suppress(CallError):
            await options(desk_of(self._host, node), timeout_s=_QUIET_WITHIN_S).holds("")

    # --- on behalf of others: see the desk

    async def place(self, orders: list[Order]) -> list[Outcome]:
        """Find places for children whose names have their home here."""
        return await self._placer.place(orders)

    async def run(self, orders: list[Order]) -> list[Outcome]:
        """Run children here."""
        return await self._runner.start_all(orders)

    async def take_over(self, hand_over: HandOver) -> Outcome:
        """Let a child go on here."""
        if self._runner.is_drained or self._membership.me.status is not MemberStatus.UP:
            return Outcome("declined", "that node takes no more children")
        if hand_over.source not in self._names.claims.members:
            return Outcome("failed", "that node does not see who hands it over")
        return await self._runner.take_over(hand_over)

    def holds(self, name: str) -> bool:
        """Tell whether a child is here, with or without a process."""
        return self._runner.holds(name)

    async def terminate(self, name: str) -> bool:
        """End a child for good; False when it is not here."""
        return await self._runner.terminate(name, "terminated")

    async def migrate(self, name: str, node: NodeId) -> Outcome:
        """Hand a child of this node over to another one."""
        return await self._mover.move(name, node)

    async def drain(self) -> int:
        """Hand over all children of this node, and take none from now on; return how many are still here."""
        self._membership.describe(draining=True)
        await self.hand_all_over()
        return len(self._runner)

    async def undrain(self) -> None:
        """Take children again; what a drain has not begun to hand over stays. Raises NotRunningError on leaving.

        When this returns all have heard of it whom this node reaches, unless one of them is slow.
        """
        if self._membership.me.status is not MemberStatus.UP:
            message = "this node leaves, and takes no more children"
            raise NotRunningError(message)
        self._runner.is_drained = False
        self._membership.describe(draining=False)
        self._residents.look()
        await self._with_each(self._reachable(), self._until_known_to, "tell")

    async def _until_known_to(self, node: NodeId) -> None:
        """Wait until a node has heard that this one is not drained any more, which no frame tells it."""
        desk = options(desk_of(self._host, node), timeout_s=_QUIET_WITHIN_S)
        with suppress(CallError, TimeoutError):
            async with asyncio.timeout(_QUIET_WITHIN_S):
                is_known = False
                while not is_known:
                    await asyncio.sleep(_RETRY_S)
                    is_known = not await desk.takes_for_drained(self._host.node_id)

    def takes_for_drained(self, node: NodeId) -> bool:
        """Tell whether another node is drained, as far as this one has heard."""
        member = self._membership.member(node)
        return member is not None and member.draining

    def reports(self, most: int) -> list[ChildReport]:
        """Describe the children of this node, and those that it is to find a place for; at first who does not run."""
        found = [*self._placer.reports(), *self._residents.infos(), *self._runner.infos()]
        return sorted(found, key=lambda report: report.process_id is not None)[:most]

    async def first_start(self, name: str) -> Outcome:
        """Wait until this node has started its process of those that run on every node, or could not."""
        try:
            async with asyncio.timeout(self.options.start_timeout_s):
                return await self._residents.first_start(name)
        except TimeoutError:
            return Outcome("retry", "its node has not come to it in time")

    # --- inside

    def look(self) -> None:
        """Take that other nodes are in now, which are the homes of other names."""
        self._placer.look()
        self._residents.look()

    def _changed(self, changes: Iterable[Change]) -> None:
        self._forgetting.look_at(changes)
        self._residents.look_at(changes)
        self._placer.look()

    def happened(self, event: MemberEvent) -> None:
        """Take what happens to other nodes."""
        self._placer.look()
        self._rebalancing.happened(event)


@asynccontextmanager
async def _within(limit_s: float, what: str) -> AsyncGenerator[None]:
    """Limit the block in time, and say what it was that took too long."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except CallTimeout:
        raise
    except TimeoutError:
        message = f"{what} within {limit_s} s"
        raise CallTimeout(message) from None
