"""One process on each node that can run it, also on those that come later; it goes with its node.

What all nodes know is a distributed child like any other, of the class :class:`EveryNode`. It does nothing but exist:
each node looks at the rows of these children and runs a process of its own for each.

*Consistency.* A node acts on its own copy of the rows, and asks nobody: on both sides of a partition all of them go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from foundation.core.clock import Clock
from foundation.core.identity import ProcessId
from foundation.core.sources import draw
from foundation.core.tasks import TaskScope
from foundation.distribution.messages import ChildReport, Outcome, failure
from foundation.distribution.options import DistributionOptions
from foundation.distribution.placement import objection
from foundation.distribution.plan import Plan, decode_plan
from foundation.errors import CodecError
from foundation.membership import Membership
from foundation.processes import (
    RESTART_BACKOFF,
    Ended,
    EndReason,
    Host,
    Pace,
    Process,
    find_class,
    on_new_wire_name,
    wants_restart,
    wire_name_of,
)
from foundation.registry import NAMES, TERMINATED, NameRow, Names
from foundation.replication import Change

logger = logging.getLogger(__name__)


class EveryNode(Process, wire_name="foundation:every-node"):
    """Stands for the processes of one name on all nodes; when it is terminated they end."""

    def __init__(self, wire_name: str, plan: bytes) -> None:
        """``plan`` is that of each of them; of its placement roles and metadata count."""


def name_at(name: str, node: str) -> str:
    """Return how the process on one node is called; ``node`` is the name of the node."""
    return f"{name}@{node}"


@dataclass(slots=True, eq=False)
class _Resident:
    """The process of this node for one of these children."""

    name: str
    """Its own."""
    wire_name: str
    plan: Plan
    encoded: bytes
    """What the row of the child says; another one takes the place of this."""
    pace: Pace
    serial: int | None = None
    restarts: int = 0
    why: str = "one on every node"
    task: asyncio.Task[None] | None = None
    ended: asyncio.Future[Ended] | None = None
    outcome: Outcome | None = None
    """What became of its first start."""


class Residents:
    """The processes of this node that run on every node."""

    def __init__(
        self,
        host: Host,
        names: Names,
        membership: Membership,
        tasks: TaskScope,
        options: DistributionOptions,
        clock: Clock,
    ) -> None:
        self._host = host
        self._names = names
        self._membership = membership
        self._tasks = tasks
        self._options = options
        self._clock = clock
        self._wanted: dict[str, None] = {}
        """Children of that class that this node has heard of."""
        self._residents: dict[str, _Resident] = {}
        self._missed: dict[str, float] = {}
        """Since when nobody has a row about a child any more whose process runs here."""
        self._due = asyncio.Event()
        self._awaited: dict[str, list[asyncio.Future[Outcome]]] = {}
        host.ended.append(self._ended)
        self._stop_listening = on_new_wire_name(lambda _name: self.look())

    def look_at(self, changes: Iterable[Change]) -> None:
        """Take changes of rows."""
        for _, key, _, row in changes:
            if type(row) is NameRow and row.life and row.wire_name == _WIRE_NAME:
                self._wanted[key[1:]] = None
        self.look()

    def look(self) -> None:
        """See whether something is to be started or stopped."""
        if self._wanted:
            self._due.set()

    def infos(self) -> list[ChildReport]:
        """Describe the processes."""
        me = self._host.node_id
        return [
            ChildReport(
                resident.name,
                resident.wire_name,
                None if resident.serial is None else ProcessId(me, resident.serial),
                resident.restarts,
                resident.why,
            )
            for resident in self._residents.values()
        ]

    async def first_start(self, name: str) -> Outcome:
        """Wait for the first start of the process of this node, and return what became of it."""
        if (resident := self._residents.get(name)) is not None and resident.outcome is not None:
            return resident.outcome
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(name, []).append(future)
        return await future

    async def run(self) -> None:
        """Start and stop what is to be, as long as this node runs."""
        while True:
            await self._due.wait()
            self._due.clear()
            for name in list(self._wanted):
                self._look_at(name)

    # --- inside

    def _look_at(self, name: str) -> None:
        best = self._names.children.best(NAMES + name)
        if best is None:
            self._nobody_has(name)
            return
        self._missed.pop(name, None)
        row, resident = best[1], self._residents.get(name)
        if resident is not None and (row.serial == TERMINATED or row.plan != resident.encoded):
            self._stop(name, resident)
            resident = None
        if row.serial == TERMINATED:
            del self._wanted[name]
        elif resident is None:
            self._begin(name, row.plan or b"")

    def _nobody_has(self, name: str) -> None:
        """Stop a process whose child nobody knows any more; not at once, since rows of a move may come in any order."""
        now, patience_s = self._clock.now(), self._options.start_timeout_s
        since = self._missed.setdefault(name, now)
        if now - since < patience_s:
            asyncio.get_running_loop().call_later(since + patience_s - now, self._due.set)
            return
        del self._missed[name], self._wanted[name]
        if (resident := self._residents.get(name)) is not None:
            self._stop(name, resident)

    def _begin(self, name: str, encoded: bytes) -> None:
        try:
            constructor = self._host.binding(EveryNode).constructor
            (wire_name, its_plan), _ = constructor.decode(*decode_plan(encoded).constructor)
            plan = decode_plan(its_plan)
        except CodecError as error:
            del self._wanted[name]
            logger.warning("%s is to run on every node, and cannot: %s", name, error)
            return
        members = self._membership.members()
        me = next((member for member in members if member.node_id == self._host.node_id), None)
        if me is None or objection(me, wire_name, plan.placement):
            return
        pace = Pace(RESTART_BACKOFF, self._options.stable_s)
        resident = _Resident(name_at(name, me.name), wire_name, plan, encoded, pace)
        self._residents[name] = resident
        resident.task = self._tasks.start(self._keep(name, resident), resident.name)

    def _stop(self, name: str, resident: _Resident) -> None:
        del self._residents[name]
        if resident.task is not None:
            resident.task.cancel()
        if resident.serial is not None:
            self._host.end(resident.serial, "terminated on every node", EndReason.STOPPED)

    async def _keep(self, name: str, resident: _Resident) -> None:
        """Run the process, again and again, until it is not to be started any more."""
        while True:
            ran_s: float | None = None
            began_at = self._clock.now()
            try:
                how = await self._run_once(name, resident)
            except Exception as error:  # noqa: BLE001 - the user's, or its name is not free yet
                resident.why = f"{type(error).__name__}: {error}"
                self._started(name, resident, failure(error))
            else:
                resident.why = f"{how.reason}: {how.text}"
                is_over = how.reason in {EndReason.STOPPED, EndReason.NODE_LEFT}
                if is_over or not wants_restart(resident.plan.restart, how.reason):
                    return
                ran_s = self._clock.now() - began_at
            delay_s = resident.pace.delay_s(ran_s, draw())
            logger.warning("%s is started again in %.2g s (%s)", resident.name, delay_s, resident.why)
            await asyncio.sleep(delay_s)
            resident.restarts += 1

    async def _run_once(self, name: str, resident: _Resident) -> Ended:
        cls = find_class(resident.wire_name)
        running = await self._host.begin(cls, *resident.plan.constructor, resident.name)
        resident.serial = running.process_id.serial
        resident.ended = asyncio.get_running_loop().create_future()
        try:
            await self._host.until_ready(running)
            self._started(name, resident, Outcome("started"))
            return await resident.ended
        finally:
            resident.serial = None

    def _started(self, name: str, resident: _Resident, outcome: Outcome) -> None:
        resident.outcome = outcome if resident.outcome is None else resident.outcome
        for future in self._awaited.pop(name, ()):
            if not future.done():
                future.set_result(outcome)

    def _ended(self, serial: int, how: Ended) -> None:
        for resident in self._residents.values():
            if resident.serial == serial and resident.ended is not None and not resident.ended.done():
                resident.ended.set_result(how)
                return


_WIRE_NAME = wire_name_of(EveryNode)
