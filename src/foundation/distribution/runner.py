"""Run children on this node: start them, start them again when they crash, give them up.

Consistency: this node's row about a child is written before its process runs and says who it is; while the child has no
process the row stays, so that nobody else can have the name. The row goes, or says that the child is terminated, only
here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from foundation.core.clock import Clock
from foundation.core.identity import NodeId, ProcessId
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.distribution.messages import ChildReport, HandOver, Order, Outcome, failure
from foundation.distribution.options import DistributionOptions
from foundation.distribution.plan import Plan, decode_plan
from foundation.errors import CallTimeout, CodecError, NameTakenError, NoSuchProcessError
from foundation.processes import (
    RESTART_BACKOFF,
    Ended,
    EndReason,
    Host,
    Intensity,
    Launch,
    Pace,
    Running,
    find_class,
    wants_restart,
)
from foundation.registry import NAMES, NOT_RUNNING, NameRow, Names

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Run:
    """A child on this node."""

    plan: Plan
    pace: Pace
    intensity: Intensity
    began_at: float = 0.0
    restarts: int = 0
    why: str = ""
    state_bytes: int | None = None
    is_handed_over: bool = False
    """It is on its way to another node: what happens to it here is for the mover to judge."""
    restarting: asyncio.Task[None] | None = field(default=None)


class Runner:
    """The children of this node."""

    def __init__(self, host: Host, names: Names, tasks: TaskScope, options: DistributionOptions, clock: Clock) -> None:
        self.wants_to_leave: Callable[[str], None] = lambda _name: None
        """Called with a child that has crashed too often here."""
        self.is_drained = False
        """Whether no child is to begin here any more."""
        self._host = host
        self._names = names
        self._tasks = tasks
        self._options = options
        self._clock = clock
        self._runs: dict[str, _Run] = {}
        self._by_serial: dict[int, str] = {}
        host.ended.append(self._ended)
        names.outlived = self._outlived

    def __len__(self) -> int:
        """Count the children."""
        return len(self._runs)

    @property
    def node(self) -> NodeId:
        """This node."""
        return self._host.node_id

    def names(self) -> list[str]:
        """Return the names of all children here."""
        return list(self._runs)

    def holds(self, name: str) -> bool:
        """Tell whether a child is here, with or without a process."""
        return name in self._runs and self._names.held_child(name) is not None

    def serial_of(self, name: str) -> int | None:
        """Return the process of a child; None while it has none."""
        row = self._names.held_child(name)
        return None if row is None or row.serial == NOT_RUNNING else row.serial

    def orders(self, names: Iterable[str]) -> list[Order]:
        """Return what it would take to have these children elsewhere, as far as they are here."""
        return [
            Order(name, row.wire_name, row.plan or b"")
            for name in names
            if (row := self._names.held_child(name)) is not None
        ]

    def placed_by(self, strategy: str) -> list[str]:
        """Return the names of the children here that are placed in that way."""
        return [name for name, run in self._runs.items() if run.plan.placement.strategy == strategy]

    def infos(self) -> list[ChildReport]:
        """Describe the children here."""
        found: list[ChildReport] = []
        for name, run in self._runs.items():
            row = self._names.held_child(name)
            if row is not None:
                process_id = self._names.index.find(NAMES + name)
                found.append(ChildReport(name, row.wire_name, process_id, run.restarts, run.why, run.state_bytes))
        return found

    # --- beginning

    async def start_all(self, orders: list[Order]) -> list[Outcome]:
        """Have children run here, beside each other, if their names are granted; one outcome for each."""
        if self.is_drained:
            return [Outcome("declined", "that node takes no more children")] * len(orders)
        begun = await self._begin_all(orders)
        await asyncio.sleep(0)  # most are ready then
        return [
            await self._end_start(order, one) if isinstance(one, Running) else one
            for order, one in zip(orders, begun, strict=True)
        ]

    async def _begin_all(self, orders: list[Order]) -> list[Running | Outcome]:
        """Begin those at once whose names are granted here, and the others beside each other."""
        home, me = self._names.claims.home, self._host.node_id
        begun: dict[int, Running | Outcome] = {}
        asked: dict[asyncio.Task[Running | Outcome], int] = {}
        for number, order in enumerate(orders):
            if home(NAMES + order.name) == me:
                begun[number] = await self._begin(order)
            else:
                asked[self._tasks.start(self._begin(order), f"begin {order.name}")] = number
        if asked:
            await asyncio.wait(asked)
        begun |= {number: task.result() for task, number in asked.items()}
        return [begun[number] for number in range(len(orders))]

    async def _begin(self, order: Order) -> Running | Outcome:
        if self.holds(order.name):
            return Outcome("exists")
        try:
            plan = decode_plan(order.plan)
            return await self._launch(order.wire_name, order.name, plan, self._beginning(order, plan))
        except NameTakenError as error:  # whether by a child, the home of the name knows when it is asked again
            return Outcome("taken" if order.life else "retry", str(error))
        except Exception as error:  # noqa: BLE001 - the user's; who ordered is told
            was_granted = self._names.held_child(order.name) is not None
            self.forget(order.name)
            is_open = isinstance(error, CallTimeout) and not was_granted
            return Outcome("retry", str(error)) if is_open else failure(error)
        except BaseException:
            self.forget(order.name)
            raise

    async def _end_start(self, order: Order, running: Running) -> Outcome:
        try:
            await self._host.until_ready(running)
        except Exception as error:  # noqa: BLE001 - the user's; who ordered is told
            self.forget(order.name)
            return failure(error)
        except BaseException:
            self.forget(order.name)
            raise
        return Outcome("started")

    async def take_over(self, hand_over: HandOver) -> Outcome:
        """Let a child go on here that another node hands over; its row is written before anything is awaited."""
        name, row = hand_over.name, hand_over.row
        try:
            plan = decode_plan(row.plan or b"")
        except CodecError as error:
            return Outcome("failed", str(error))
        if not self._names.take_over(name, row):
            return Outcome("taken", "others have it, or it is no more")
        try:
            going_on = self._going_on(name, plan, hand_over)
            await self._host.until_ready(await self._launch(row.wire_name, name, plan, going_on))
        except Exception as error:  # noqa: BLE001 - the user's; who hands it over takes it back
            self._tasks.start(self._keep_unless_taken_back(name, error), f"keep {name}")
            return failure(error)
        return Outcome("started")

    async def _keep_unless_taken_back(self, name: str, error: Exception) -> None:
        """See to it that a child is not lost whose node vanishes while it is told that it does not start here."""
        await asyncio.sleep(2 * self._options.start_timeout_s)
        row, run = self._names.held_child(name), self._runs.get(name)
        if row is None:
            self._let_go(name)
        elif row.serial == NOT_RUNNING and run is not None and run.restarting is None:
            self._restart(name, run, row, f"{type(error).__name__}: {error}")

    def take_back(self, name: str, row: NameRow) -> None:
        """Hold a child again whose hand-over came to nothing; its process, if it has not ended meanwhile, goes on."""
        run = self._runs.get(name)
        has_process = row.serial in self._by_serial
        is_held = self._names.hold_again(name, row if has_process else replace(row, serial=NOT_RUNNING))
        if run is None:
            return
        run.is_handed_over = False
        if not is_held:
            del self._runs[name]
            self._host.end(row.serial, "it was terminated", EndReason.STOPPED)
        elif not has_process and run.restarting is None:
            self._restart(name, run, row, run.why or "it ended while it was to be moved")

    # --- ending

    def hand_over(self, name: str) -> None:
        """Take that a child is on its way to another node."""
        self._runs[name].is_handed_over = True
        self._names.hand_over_child(name)

    def handed_over(self, name: str, node: NodeId) -> None:
        """Take that another node has a child now."""
        self._let_go(name)
        self._names.handed_over_child(name, node)

    def forget(self, name: str) -> None:
        """Hold a child no longer that has not begun to run here."""
        self._let_go(name)
        self._names.forget_child(name)

    def _let_go(self, name: str) -> None:
        run = self._runs.pop(name, None)
        if run is not None and run.restarting is not None:
            run.restarting.cancel()

    async def terminate(self, name: str, reason: str) -> bool:
        """End a child for good, and wait until its process has ended; False when it is not here."""
        if not self.holds(name):
            return False
        serial = self.serial_of(name)
        self._terminated(name)
        if serial is not None:
            with suppress(NoSuchProcessError):
                await self._host.stop(ProcessId(self._host.node_id, serial), reason)
        return True

    # --- inside

    def _began(self, name: str, serial: int, plan: Plan, why: str = "", state: bytes | None = None) -> None:
        run = self._runs.get(name)
        if run is None:
            pace = Pace(RESTART_BACKOFF, self._options.stable_s)
            run = self._runs[name] = _Run(plan, pace, Intensity(plan.max_restarts, plan.within_s))
            run.why, run.state_bytes = why, None if state is None else len(state)
        run.began_at = self._clock.now()
        self._by_serial[serial] = name

    def _beginning(self, order: Order, plan: Plan) -> Launch:
        """Return how a child is started whose name has to be granted first."""
        limit_s = self._options.start_timeout_s

        async def enroll(serial: int) -> None:
            register = self._names.register
            await register(order.name, serial, order.wire_name, None, limit_s, plan=order.plan, life=order.life)
            self._began(order.name, serial, plan, _why_here(order, plan))

        return Launch(enroll)

    def _going_on(self, name: str, plan: Plan, hand_over: HandOver | None) -> Launch:
        """Return how a child is started whose name is held here already."""
        source, state = ("", None) if hand_over is None else (hand_over.source, hand_over.state)

        async def enroll(serial: int) -> None:
            self._names.run_child(name, serial)
            self._began(name, serial, plan, f"moved here by node {source[:8]}", state)

        return Launch(enroll) if hand_over is None else Launch(enroll, hand_over.state, hand_over.timers)

    async def _launch(self, wire_name: str, name: str, plan: Plan, launch: Launch) -> Running:
        return await self._host.begin(find_class(wire_name), *plan.constructor, name, launch=launch)

    def _terminated(self, name: str) -> None:
        self._let_go(name)
        self._names.terminate_child(name)

    def _outlived(self, name: str, serial: int, winner: object) -> None:
        run = self._runs.get(name)
        if run is not None and run.is_handed_over:
            return
        self._runs.pop(name, None)
        self._host.end(serial, f"it is to run no more, or at {winner}", EndReason.MOVED)

    def _ended(self, serial: int, how: Ended) -> None:
        name = self._by_serial.pop(serial, None)
        run = self._runs.get(name) if name is not None else None
        if name is None or run is None or run.is_handed_over:
            return
        row = self._names.held_child(name)
        if row is None or row.serial != NOT_RUNNING:  # it has lost its name, or runs again
            if row is None:
                del self._runs[name]
            return
        if how.reason is EndReason.NODE_LEFT or self._tasks.is_closed:
            return  # the row stays, and the others find a place for it
        if how.reason is EndReason.STOPPED or not wants_restart(run.plan.restart, how.reason):
            self._terminated(name)
            return
        self._restart(name, run, row, f"{how.reason}: {how.text}")

    def _restart(self, name: str, run: _Run, row: NameRow, why: str) -> None:
        now = self._clock.now()
        delay_s = run.pace.delay_s(now - run.began_at, draw())
        run.restarts += 1
        run.why = why
        logger.warning("child %s ended (%s) and is started again in %.2g s", name, why, delay_s)
        if run.intensity.exceeded(now):
            self.wants_to_leave(name)
        again = partial(self._again, name, run, row.wire_name, delay_s)
        run.restarting = self._tasks.start(again(), f"restart {name}")

    async def _again(self, name: str, run: _Run, wire_name: str, delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        run.restarting = None
        if self._runs.get(name) is not run or run.is_handed_over or self.serial_of(name) is not None:
            return
        try:
            going_on = self._going_on(name, run.plan, None)
            await self._host.until_ready(await self._launch(wire_name, name, run.plan, going_on))
        except Exception as error:  # noqa: BLE001 - the user's
            self._again_later(name, run, error)

    def _again_later(self, name: str, run: _Run, error: Exception) -> None:
        """Enter a start that has failed; the host has taken back its name already."""
        row = self._names.held_child(name)
        if self._runs.get(name) is run and row is not None and run.restarting is None:
            run.began_at = self._clock.now()
            self._restart(name, run, row, f"{type(error).__name__}: {error}")


def _why_here(order: Order, plan: Plan) -> str:
    placement = plan.placement
    chosen = f"only node {placement.node} may run it" if placement.node else f"chosen by {placement.strategy}"
    return f"its node is gone; {chosen}" if order.life else chosen
