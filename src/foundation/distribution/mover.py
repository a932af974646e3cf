"""Hand children over to other nodes, with what they know.

Consistency: from its snapshot on the child takes no message, and nothing runs beside its mailbox. The other node writes
its row, in a higher epoch and with the same claim, before it starts anything, and only as long as it sees this node in;
so nobody can be granted the name meanwhile. Calls that wait here are refused as surely not executed, and their callers
follow the name.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.distribution.desk import desk_of
from foundation.distribution.messages import HandOver, Outcome
from foundation.distribution.options import DistributionOptions
from foundation.distribution.places import Places
from foundation.distribution.runner import Runner
from foundation.errors import CallError, FoundationError, NodeDown, NotDelivered
from foundation.processes import Cast, Forward, Hook, Host, Message, Process, options, timers_of
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
        self._moving: dict[str, asyncio.Task[Outcome]] = {}
        self._awaited: dict[int, asyncio.Future[Outcome]] = {}
        """What becomes of the processes that are to be moved once they come to it."""
        self._handing_over: set[int] = set()
        """Processes of which the other node has been told: it has the last word, even if they end meanwhile."""
        self._at_once = asyncio.Semaphore(options.moves_at_once)
        runner.wants_to_leave = self._leave_elsewhere
        host.ended.append(self._ended)

    async def move(self, name: str, node: NodeId, is_wanted: Callable[[], bool] = lambda: True) -> Outcome:
        """Hand a child of this node over to another one; it goes on here when that fails.

        It stays when it is not wanted elsewhere any more at the moment in which its turn comes.
        """
        if (moving := self._moving.get(name)) is not None:
            return await asyncio.shield(moving)
        if not self._runner.holds(name):
            return Outcome("failed", f"{name!r} is not here")
        if node == self._host.node_id:
            return Outcome("exists", "it is there already")
        task = self._moving[name] = self._tasks.start(self._move_in_turn(name, node, is_wanted), f"move {name}")
        task.add_done_callback(lambda _: self._moving.pop(name, None))
        return await asyncio.shield(task)  # half a move is none, whoever loses interest in it

    async def move_all(self, names: Iterable[str], is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Hand over children to whoever is to have them now, and takes them; return how many could not be."""
        declined: dict[str, set[NodeId]] = {}
        left, moved, wanted = list(names), 0, 0
        while left:
            outcomes = await self._move_each(left, declined, is_wanted)
            wanted = wanted or len(outcomes)
            moved += sum(outcome.result == "started" for outcome in outcomes.values())
            left = [name for name, outcome in outcomes.items() if outcome.result == "declined"]
        return wanted - moved

    # --- inside

    async def _move_each(
        self, names: Iterable[str], declined: dict[str, set[NodeId]], is_wanted: Callable[[], bool]
    ) -> dict[str, Outcome]:
        """Move children; return what came of each, and note who takes none."""
        orders = self._runner.orders(names)
        me = self._host.node_id
        chosen = self._places.choose(orders, lambda order: {me, *declined.get(order.name, ())})
        moves = {
            order.name: (node, self._tasks.start(self.move(order.name, node, is_wanted), f"have {order.name} moved"))
            for order, node in zip(orders, chosen, strict=True)
            if node is not None
        }
        if moves:
            await asyncio.wait([move for _, move in moves.values()])
        outcomes = {order.name: Outcome("nowhere") for order in orders}
        for name, (node, move) in moves.items():
            outcomes[name] = Outcome("failed") if move.cancelled() else move.result()
            if outcomes[name].result == "declined":
                declined.setdefault(name, set()).add(node)
        return outcomes

    async def _move_in_turn(self, name: str, node: NodeId, is_wanted: Callable[[], bool]) -> Outcome:
        async with self._at_once:
            return await self._move(name, node) if is_wanted() else Outcome("failed", "it is to stay after all")

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
        if outcome is not None and not outcome.done() and serial not in self._handing_over:
            outcome.set_result(Outcome("failed", str(how)))

    async def _hand_over_process(self, name: str, serial: int, process: Process, node: NodeId) -> Outcome:
        row = self._names.held_child(name)
        if row is None or row.serial != serial:
            return Outcome("failed", f"{name!r} is not here any more")
        async with self._host.alone(serial):
            state = await self._snapshot(process)
            self._handing_over.add(serial)
            self._runner.hand_over(name)
            hand_over = HandOver(self._host.node_id, name, row, state, tuple(timers_of(process)))
            work = self._tasks.start(self._finish(hand_over, node), f"hand over {name}")
            return await asyncio.shield(work)  # the process may be cancelled

    async def _finish(self, hand_over: HandOver, node: NodeId) -> Outcome:
        """Hand over a child with a process, whatever becomes of that."""
        serial = hand_over.row.serial
        try:
            outcome = await self._hand_over(hand_over, node)
            if outcome.result == "started":
                forward = self._forwarding(hand_over.name, ProcessId(self._host.node_id, serial))
                self._host.moved(serial, f"moved to node {node[:8]}", forward)
            if (awaited := self._awaited.get(serial)) is not None and not awaited.done():
                awaited.set_result(outcome)
        finally:
            self._handing_over.discard(serial)
        return outcome

    def _forwarding(self, name: str, was: ProcessId) -> Forward:
        """Return what sends casts after a child, in the order in which they come here."""
        waiting: deque[Cast | Message] = deque()

        async def send_on() -> None:
            try:
                target = await self._host.follow(name, was)
                while waiting:
                    frame = waiting[0]
                    await self._host.post(target, replace(frame, serial=target.serial))
                    waiting.popleft()
            except FoundationError as error:
                logger.warning("%d casts to child %s are lost: %s", len(waiting), name, error)
                waiting.clear()

        def forward(frame: Cast | Message) -> None:
            waiting.append(frame)
            if len(waiting) == 1:
                self._tasks.start(send_on(), f"send casts after {name}")

        return forward

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
