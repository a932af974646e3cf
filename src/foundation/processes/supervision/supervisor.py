"""The process that starts others, and starts them again when they end.

Consistency: what changes children is one message after another; `children` and `count` look in between, and so may see
a group half started. A child is never running twice: it is started again when its end is known, or was waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, TypedDict, TypeVar

from msgspec import Struct

from foundation.core import sources
from foundation.core.backoff import Backoff
from foundation.core.identity import ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import ArgumentError, NameTakenError, NoSuchNameError, NotRunningError
from foundation.processes.decorators import concurrent
from foundation.processes.ended import Ended, EndReason
from foundation.processes.nursery import Nursery
from foundation.processes.process import Process
from foundation.processes.supervision.child import Child, check_choice, check_positive
from foundation.processes.supervision.restarting import (
    RESTART_BACKOFF,
    Intensity,
    Pace,
    Strategy,
    going_down,
    wants_restart,
)
from foundation.processes.supervision.slot import ChildCount, ChildInfo, Slot, State

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Plan(Struct, frozen=True):
    """How a supervisor goes about it."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    within_s: float = 5.0
    backoff: Backoff = RESTART_BACKOFF


class Supervisor(Process, wire_name="foundation.Supervisor"):
    """Runs its children on its own node. Made by :func:`foundation.supervisor` or ``cluster.start_supervisor``.

    Its children end with it, however it ends.
    """

    __stop_timeout_s__: ClassVar[float | None] = None  # as long as its children take, each of which has its time

    def __init__(self, children: Sequence[Child[Any]], plan: Plan) -> None:
        self._plan = plan
        self._intensity = Intensity(plan.max_restarts, plan.within_s)
        self._slots: dict[str, Slot] = {}
        self._last_ticket = 0
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._starting: asyncio.Task[Any] | None = None
        self._is_ending = False
        for child in children:
            self._add(child)

    async def started(self) -> None:
        """Start the children in their order; when one fails, stop the others again."""
        try:
            for slot in self._slots.values():
                await self._start(slot)
        except Exception as error:
            await self._stop_all(f"a sibling did not start: {error}")
            raise

    async def stopping(self, reason: str) -> None:
        """Stop the children in the reverse order."""
        for timer in self._timers.values():
            timer.cancel()
        await self._stop_all(reason)

    @concurrent
    async def children(self) -> list[ChildInfo]:
        """Describe the children, in the order in which they are started."""
        return [slot.info() for slot in self._slots.values()]

    @concurrent
    async def count(self) -> ChildCount:
        """Count the children."""
        states = [slot.state for slot in self._slots.values()]
        return ChildCount(len(states), states.count("running"), states.count("restarting"), states.count("stopped"))

    async def start_child(self, child: Child[T]) -> T:
        """Start one more child, behind the others, and return a reference to it.

        Raises what its start raises, and then it is no child; :class:`NameTakenError` when there is one of that name.
        """
        slot = self._add(child)
        try:
            reference: T = await self._start(slot)
        except BaseException:
            del self._slots[slot.id]
            raise
        return reference

    async def terminate(self, child: str | ProcessId) -> None:
        """Stop a child, which stays one (unless it is temporary) and is not started again but by `restart`.

        It is named by its id or its process id; raises :class:`NoSuchNameError`.
        """
        slot = self._find(child)
        try:
            await self._stop(slot, "stopped", "its supervisor was told to stop it")
        finally:  # also when the caller waits no longer
            self._forget_temporary([slot])

    async def restart(self, child: str | ProcessId) -> ProcessId:
        """Start a child anew, whether it runs or not; the siblings stay, and no restart is counted.

        Raises :class:`NoSuchNameError`, and what its start raises; then the child is stopped.
        """
        slot = self._find(child)
        try:
            await self._stop(slot, "stopped", "its supervisor was told to start it anew")
            slot.pace = self._new_pace()
            await self._start(slot)
        except asyncio.CancelledError:  # the caller waits no longer, and nobody has said that it is to stay down
            self._start_later([slot], 0.0)
            raise
        except Exception as error:
            slot.rests("stopped", _failure(error))
            raise
        assert slot.process_id is not None  # noqa: S101 - it runs
        return slot.process_id

    async def remove(self, child: str | ProcessId) -> None:
        """Stop a child and forget it; raises :class:`NoSuchNameError`."""
        slot = self._find(child)
        try:
            await self._stop(slot, "stopped", "it is removed")
        finally:
            del self._slots[slot.id]

    async def handle_ended(self, ended: Ended) -> None:
        """Start a child again, if it is to be."""
        slot = next((slot for slot in self._slots.values() if slot.process_id == ended.process_id), None)
        if slot is None or self._is_ending:
            return
        slot.rests("stopped", str(ended).partition(" ended: ")[2])
        if wants_restart(slot.child.restart, ended.reason):
            is_taken = ended.reason is EndReason.LOST_NAME
            await self._begin_again(slot, sources.clock().now() - slot.started_at, counts=not is_taken)
        else:
            self._forget_temporary([slot])

    def _end_begins(self) -> None:
        self._is_ending = True
        if self._starting is not None:
            self._starting.cancel()

    async def _begin_again(self, slot: Slot, ran_s: float | None, *, counts: bool) -> None:
        """Stop whoever goes down with a child that has ended, and start them all when it is time."""
        if counts and self._intensity.exceeded(sources.clock().now()):
            return self._give_up(slot)
        delay_s = slot.pace.delay_s(ran_s, sources.draw())
        when = f"in {delay_s:.1f} s" if delay_s else "at once"
        logger.warning("%s starts %s again %s: %s", self._label, slot.id, when, slot.why)
        group = [self._slots[each] for each in going_down(self._plan.strategy, list(self._slots), slot.id)]
        waiting = [each for each in group if each is slot or each.state != "stopped"]
        for each in reversed(waiting):
            await self._stop(each, "restarting", f"its sibling {slot.id} ended")
        self._forget_temporary(waiting)
        if not self._is_ending:
            self._start_later(waiting, delay_s)
        return None

    def _start_later(self, waiting: list[Slot], delay_s: float) -> None:
        """Start them in their order by a message to itself, so that other messages are handled meanwhile."""
        self._last_ticket = ticket = self._last_ticket + 1
        for slot in waiting:
            slot.ticket, slot.state = ticket, "restarting"

        def ring() -> None:
            self._timers.pop(ticket, None)
            self._nursery.tell("restart", lambda: self._start_again(ticket))

        if delay_s:
            self._timers[ticket] = asyncio.get_running_loop().call_later(delay_s, ring)
        else:
            ring()

    async def _start_again(self, ticket: int) -> None:
        """Start who still waits for this round; a failure is one more end."""
        for slot in [slot for slot in self._slots.values() if slot.ticket == ticket and slot.state == "restarting"]:
            try:
                await self._start(slot)
            except Exception as error:  # noqa: BLE001 - whatever the start of a child raises
                if not self._is_ending:
                    slot.rests("restarting", _failure(error))
                    # Who has the name does what this child is for, and may go: that is no reason to give up.
                    return await self._begin_again(slot, None, counts=not isinstance(error, NameTakenError))
                return None
            slot.restarts += 1
        return None

    async def _start(self, slot: Slot) -> Any:  # noqa: ANN401 - a reference, typed as the child's class
        """Start a child; raises what its start raises, NotRunningError when the supervisor ends meanwhile."""
        if self._is_ending:
            raise NotRunningError(_ENDING)
        async with TaskScope(self._label) as scope:
            task = self._starting = scope.start(self._attempt(slot), f"start {slot.id}")
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                # The caller waits no longer. What has started at this very moment is stopped again.
                task.add_done_callback(partial(self._take_back, slot))
                raise
        self._starting = None
        if task.cancelled():
            raise NotRunningError(_ENDING)
        reference, error = task.result()
        if error is not None:
            raise error
        slot.runs(reference.process_id, sources.clock().now())
        return reference

    def _take_back(self, slot: Slot, task: asyncio.Task[tuple[Any, Exception | None]]) -> None:
        if not task.cancelled() and (reference := task.result()[0]) is not None:
            slot.leaving = reference.process_id
            self._nursery.dismiss(reference.process_id, "who asked for it waits no longer")

    async def _attempt(self, slot: Slot) -> tuple[Any, Exception | None]:
        child = slot.child
        try:
            await self._until_gone(slot, "it is started anew")
            return await self._nursery.start(slot.cls, child.args, child.kwargs, child.name, child.stop_timeout_s), None
        except Exception as error:  # noqa: BLE001 - whatever it raises belongs to who wants the child
            return None, error

    async def _stop(self, slot: Slot, state: State, reason: str) -> None:
        if slot.process_id is None:
            slot.state = state
        else:
            slot.leaving = slot.process_id
            slot.rests(state, reason)  # so its end is no news
        await self._until_gone(slot, reason)

    async def _until_gone(self, slot: Slot, reason: str) -> None:
        if slot.leaving is not None:
            await self._nursery.stop(slot.leaving, reason)
            slot.leaving = None

    async def _stop_all(self, reason: str) -> None:
        for slot in reversed(self._slots.values()):
            await self._stop(slot, "stopped", reason)

    def _give_up(self, slot: Slot) -> None:
        most, within_s = self._plan.max_restarts, self._plan.within_s
        text = f"more than {most} restarts within {within_s:g} s; at last {slot.id} ended: {slot.why}"
        logger.error("%s gives up and stops its children: %s", self._label, text)
        self._nursery.give_up(text)

    def _add(self, child: Child[Any]) -> Slot:
        taken = child.name or child.wire_name.rpartition(":")[2].rpartition(".")[2]
        if child.name is not None and child.name in self._slots:
            message = f"{self._label} has a child {child.name!r} already"
            raise NameTakenError(message)
        number, unique = 1, taken
        while unique in self._slots:
            number += 1
            unique = f"{taken}-{number}"
        slot = self._slots[unique] = Slot(unique, child, self._new_pace())
        return slot

    def _find(self, child: str | ProcessId) -> Slot:
        for slot in self._slots.values():
            if child in {slot.id, slot.process_id}:
                return slot
        message = f"{self._label} has no child {child}; there are: {', '.join(self._slots) or 'none'}"
        raise NoSuchNameError(message)

    def _forget_temporary(self, slots: list[Slot]) -> None:
        for slot in slots:
            if slot.child.restart == "temporary":
                self._slots.pop(slot.id, None)

    def _new_pace(self) -> Pace:
        return Pace(self._plan.backoff, self._plan.within_s)

    @property
    def _label(self) -> str:
        return f"supervisor {self.process_id}"

    @property
    def _nursery(self) -> Nursery:
        return self._get_seat().nursery


_ENDING = "the supervisor ends, and starts no children"


def _failure(error: Exception) -> str:
    return f"it did not start: {type(error).__name__}: {error}"


class PlanWords(TypedDict, total=False):
    """The words of :func:`supervisor` that say how it goes about it."""

    strategy: Strategy
    max_restarts: int
    within_s: float
    backoff: Backoff


def supervisor(
    *children: Child[Any],
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    within_s: float = 5.0,
    backoff: Backoff = RESTART_BACKOFF,
    name: str | None = None,
    stop_timeout_s: float | None = None,
) -> Child[Supervisor]:
    """Describe a supervisor: a child of another one, or the top of a tree for ``foundation node module:attribute``.

    ``strategy`` says who is stopped and started with a child that is started again: nobody else (``"one_for_one"``),
    all (``"one_for_all"``), those started after it (``"rest_for_one"``). At more than ``max_restarts`` restarts in
    ``within_s`` seconds the supervisor stops its children, in reverse, and ends, not in order. The first restart of a
    child comes at once, the next ones after the delays of ``backoff``, and again at once when it has run for
    ``within_s``.

    Raises :class:`ArgumentError` for what cannot be.
    """
    check_choice("strategy", strategy, Strategy)
    if max_restarts < 0:
        message = f"max_restarts is 0 or more, not {max_restarts}"
        raise ArgumentError(message)
    check_positive("within_s", within_s)
    if stop_timeout_s is not None:
        check_positive("stop_timeout_s", stop_timeout_s)
    plan = Plan(strategy, max_restarts, within_s, backoff)
    return Child(Supervisor.__wire_name__, (children, plan), {}, name, "permanent", stop_timeout_s)
