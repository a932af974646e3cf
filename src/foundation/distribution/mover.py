"""Hand children over to other nodes, with what they know.

Consistency: the child takes no message from its snapshot on. The other node writes its row, in a higher epoch and with
the same claim, before it starts anything, and only as long as it sees this node in; so nobody can be granted the name
meanwhile. Calls that wait here are refused as surely not executed, and their callers follow the name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from foundation.core.identity import NodeId
from foundation.core.tasks import TaskScope
from foundation.distribution.desk import desk_of
from foundation.distribution.messages import HandOver, Order, Outcome
from foundation.distribution.options import DistributionOptions
from foundation.distribution.places import Places
from foundation.distribution.runner import Runner
from foundation.errors import CallError, FoundationError, NodeDown, NotDelivered
from foundation.processes import EndReason, Hook, Host, Process, options, timers_of
from foundation.registry import Names

logger = logging.getLogger(__name__)

_ASK_AGAIN_S = 0.2


class Mover:
    """Moves children of this node to others."""

    def __init__(
        self,
        host: Host,
        names: Names,
        places: Places,
        runner: Runner,
        tasks: TaskScope,
        options: DistributionOptions,
    ) -> None:
        self._host = host
        self._names = names
        self._places = places
        self._runner = runner
        self._tasks = tasks
        self._options = options
        self._moving: dict[str, asyncio.Future[Outcome]] = {}
        self._awaited: dict[int, asyncio.Future[Outcome]] = {}
        """What becomes of the processes that are to be moved once they come to it."""
        self._at_once = asyncio.Semaphore(options.moves_at_once)
        runner.wants_to_leave = self._leave_elsewhere
        host.ended.append(self._ended)

    async def move(self, name: str, node: NodeId) -> Outcome:
        """Hand a child of this node over to another one; it goes on here when that fails."""
        if (moving := self._moving.get(name)) is not None:
            return await asyncio.shield(moving)
        if not self._runner.holds(name):
            return Outcome("failed", f"{name!r} is not here")
        if node == self._host.node_id:
            return Outcome("exists", "it is there already")
        self._moving[name] = done = asyncio.get_running_loop().create_future()
        try:
            async with self._at_once:
                outcome = await self._move(name, node)
        except BaseException as error:
            done.set_result(Outcome("failed", f"{type(error).__name__}: {error}"))
            raise
        else:
            done.set_result(outcome)
        finally:
            del self._moving[name]
        return outcome

    async def move_all(self, names: Iterable[str]) -> int:
        """Hand over children to whoever is to have them now; return how many could not be."""
        orders = [
            Order(name, row.wire_name, row.plan or b"")
            for name in names
            if (row := self._names.held_child(name)) is not None
        ]
        me = {self._host.node_id}
        chosen = self._places.choose(orders, lambda _order: me)
        moves = [
            self._tasks.start(self.move(order.name, node), f"move {order.name}")
            for order, node in zip(orders, chosen, strict=True)
            if node is not None
        ]
        if moves:
            await asyncio.wait(moves)
        moved = sum(move.result().result == "started" for move in moves if not move.cancelled())
        return len(orders) - moved

    # --- inside

    def _leave_elsewhere(self, name: str) -> None:
        self._tasks.start(self.move_all([name]), f"leave {name} to another node")

    async def _move(self, name: str, node: NodeId) -> Outcome:
        serial, row = self._runner.serial_of(name), self._names.held_child(name)
        if row is None:
            return Outcome("failed", f"{name!r} is not here any more")
        if serial is None:
            self._runner.hand_over(name)
            return await self._hand_over(HandOver(self._host.node_id, name, row, None), node)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._awaited[serial] = outcome

        async def run(process: Process) -> None:
            """Be the last message of the process here, so that nothing changes its state any more."""
            try:
                result = await self._hand_over_process(name, serial, process, node)
            except Exception as error:
                logger.exception("child %s could not be moved", name)
                result = Outcome("failed", f"{type(error).__name__}: {error}")
            if not outcome.done():
                outcome.set_result(result)

        try:
            if not self._host.tell(serial, Hook("snapshot", run)):
                return Outcome("failed", f"{name!r} ended meanwhile")
            return await outcome
        finally:
            self._awaited.pop(serial, None)

    def _ended(self, serial: int, how: object) -> None:
        outcome = self._awaited.get(serial)
        if outcome is not None and not outcome.done():
            outcome.set_result(Outcome("failed", str(how)))

    async def _hand_over_process(self, name: str, serial: int, process: Process, node: NodeId) -> Outcome:
        row = self._names.held_child(name)
        if row is None or row.serial != serial:
            return Outcome("failed", f"{name!r} is not here any more")
        state = await self._snapshot(process)
        self._runner.hand_over(name)
        timers = tuple(timers_of(process))
        outcome = await self._hand_over(HandOver(self._host.node_id, name, row, state, timers), node)
        if outcome.result == "started":
            self._host.end(serial, f"moved to node {node[:8]}", EndReason.MOVED)
        return outcome

    async def _snapshot(self, process: Process) -> bytes | None:
        snapshot: Callable[[], Any] | None = getattr(process, "snapshot", None)
        restore = self._host.binding(type(process)).methods.get("restore")
        if snapshot is None or restore is None:
            return None
        encoded, _ = restore.signature.encode((await snapshot(),), {})
        return encoded

    async def _hand_over(self, hand_over: HandOver, node: NodeId) -> Outcome:
        """Have the other node take a child over, and take it back unless that surely has it."""
        name, row = hand_over.name, hand_over.row
        desk = options(desk_of(self._host, node), timeout_s=self._options.start_timeout_s)
        try:
            outcome = await desk.take_over(hand_over)
        except NotDelivered as error:
            outcome = Outcome("failed", str(error))
        except CallError as error:
            outcome = await self._asked_whether_it_has(name, node, error)
        if outcome.result == "started":
            self._runner.handed_over(name, node)
        else:
            self._runner.take_back(name, row)
            logger.warning("child %s could not be moved to node %s: %s", name, node[:8], outcome.text)
        return outcome

    async def _asked_whether_it_has(self, name: str, node: NodeId, error: CallError) -> Outcome:
        """Find out what became of a hand-over that nobody has answered; what the other node says now is behind it."""
        while not isinstance(error, NodeDown):
            if self._names.held_child(name) is None:  # the row of the other node has arrived
                return Outcome("started")
            try:
                has_it = await desk_of(self._host, node).holds(name)
            except (NodeDown, NotDelivered):
                break
            except FoundationError:
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            return Outcome("started") if has_it else Outcome("failed", str(error))
        is_gone = self._names.held_child(name) is None
        return Outcome("started") if is_gone else Outcome("failed", str(error))
