"""What users extend: state behind methods that anyone in the cluster may call, one message at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self, TypeVar, TypeVarTuple

from foundation.core.identity import ProcessId
from foundation.errors import ArgumentError, NotRunningError, ProcessDefinitionError
from foundation.processes import catalog
from foundation.processes.definition import check_definition, enclosing_locals
from foundation.processes.ended import Ended
from foundation.processes.monitor import Monitor
from foundation.processes.nursery import Nursery
from foundation.processes.spec import Spec, described
from foundation.processes.timer import Timer, Timers, TimerState

logger = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Seat(Protocol):
    """Where a running process sits: what it can ask about itself."""

    @property
    def process_id(self) -> ProcessId:
        """The identity of the process."""
        ...

    @property
    def nursery(self) -> Nursery:
        """What the process can do with children of its own."""
        ...

    @property
    def timers(self) -> Timers:
        """Its timers; made at the first use."""
        ...

    @property
    def has_timers(self) -> bool:
        """Whether there are any, or have been."""
        ...

    def reference(self) -> Any:  # noqa: ANN401 - typed as the process's own class by its user
        """Return a reference to the process."""
        ...

    def monitor(self, target: ProcessId) -> Monitor:
        """Watch a process on behalf of this one."""
        ...

    async def start_linked(self, wanted: Spec[Any], name: str | None) -> Any:  # noqa: ANN401 - of the class wanted
        """Start a process on the same node that is linked with this one."""
        ...


class Process:
    """State that lives in one place, and methods that work the same from near and far.

    Every public method is ``async def`` or an async generator, or a plain ``def`` marked ``@offload``. Calls are
    handled one after another, so a method needs no locks; async generators and what is marked ``@concurrent`` run
    beside them. Arguments, results and items are copied, never shared.

    ``class Counter(Process, wire_name="shop.Counter")`` fixes the name by which other nodes know the class, which
    otherwise is ``module:qualname``.
    """

    __wire_name__: ClassVar[str]
    __enclosing__: ClassVar[dict[str, Any]] = {}
    __stop_timeout_s__: ClassVar[float | None]
    """Seconds that processes of a class have to stop, where that is not for their node to say; None for no limit."""
    __seat: Seat | None = None

    def __init_subclass__(cls, *, wire_name: str | None = None, **more: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**more)
        check_definition(cls, Process)
        cls.__enclosing__ = enclosing_locals(cls)
        if wire_name is not None:
            cls.__wire_name__ = wire_name
        catalog.add(cls)

    @property
    def reference(self) -> Self:
        """A reference to this process, to hand to others."""
        return self._get_seat().reference()  # type: ignore[no-any-return]

    @property
    def process_id(self) -> ProcessId:
        """The identity of this process."""
        return self._get_seat().process_id

    async def started(self) -> None:
        """Prepare for work, before the first message; an error here makes the start fail."""

    async def stopping(self, reason: str) -> None:
        """Finish, after the last message, within ``stop_timeout_s``."""

    async def handle_message(self, message: Any) -> None:  # noqa: ANN401
        """Handle a plain message; annotate ``message`` with the classes to expect."""
        logger.warning("%s got a message and has no handle_message: %.200r", type(self).__name__, message)

    async def handle_ended(self, ended: Ended) -> None:
        """Handle the end of a process that this one watches by :meth:`monitor`."""

    async def name_lost(self, name: str, winner: Any) -> None:  # noqa: ANN401 - a reference, typed as its class
        """Go on without a name that another process kept after a partition; without this handler a process ends."""
        del name, winner

    def monitor(self, target: object) -> Monitor:
        """Watch a process: when it ends, ``handle_ended`` runs once, as a message; the result can be awaited too.

        ``target`` is a reference; one by name means the process that has the name now, and raises NoSuchNameError
        when nobody has it. The watch ends with this process. See :meth:`foundation.Cluster.monitor`.
        """
        return self._get_seat().monitor(process_id_of(target))

    async def start_linked(self, cls: Callable[[*Ts], T] | Spec[T], /, *args: *Ts, name: str | None = None) -> T:
        """Start a process on this node that is linked with this one; see ``link`` of `start_process`."""
        started: T = await self._get_seat().start_linked(described(cls, args), name)
        return started

    def send_after(self, delay_s: float, message: Any) -> Timer:  # noqa: ANN401 - anything that can travel
        """Have ``message`` come to the own :meth:`handle_message` in ``delay_s`` seconds, through the mailbox.

        It is copied and checked now, as if it were sent. Timers end with their process. A distributed child that is
        moved takes them along; one that is set with the same message (and period) in ``__init__``, ``restore`` or
        ``started`` is then the one that came along, not a second one.

        Raises :class:`ArgumentError`, :class:`Overloaded` beyond the ``timer_capacity``. On the event loop only.
        """
        return self._get_seat().timers.after(delay_s, message)

    def every(self, period_s: float, message: Any) -> Timer:  # noqa: ANN401 - anything that can travel
        """Have ``message`` come to :meth:`handle_message` each ``period_s`` seconds; see :meth:`send_after`.

        While one is waiting in the mailbox no further one comes: a process that is late skips some.
        """
        return self._get_seat().timers.every(period_s, message)

    def _end_begins(self) -> None:
        """Notice, at once and whatever this process does at the moment, that it takes no more messages."""

    def _get_seat(self) -> Seat:
        if self.__seat is None:
            message = f"this {type(self).__name__} is a plain object: only a process that was started has a reference"
            raise NotRunningError(message)
        return self.__seat


def take_seat(process: Process, seat: Seat) -> None:
    """Tell an instance where it runs; done before its constructor."""
    process._Process__seat = seat  # type: ignore[attr-defined]  # noqa: SLF001


def tell_of_end(process: Process) -> None:
    """Tell an instance that it takes no more messages."""
    process._end_begins()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no method of its users


def timers_of(process: Process) -> list[TimerState]:
    """Return the timers of an instance, as another node goes on with them."""
    seat = _seat_of(process)
    return seat.timers.states() if seat.has_timers else []


def timers_begun(process: Process) -> None:
    """Tell an instance that it has begun: timers that it sets from now on are new ones."""
    if (seat := _seat_of(process)).has_timers:
        seat.timers.begun()


def end_timers(process: Process) -> None:
    """End the timers of an instance, which is to get no more messages."""
    if (seat := _seat_of(process)).has_timers:
        seat.timers.end()


def _seat_of(process: Process) -> Seat:
    return process._get_seat()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no method of its users


def process_id_of(target: object) -> ProcessId:
    """Return the identity behind a reference, or behind a process that hands itself out."""
    process_id = target.process_id if isinstance(target, Process) else target
    if not isinstance(process_id, ProcessId):
        message = f"expected a reference to a process, got {target!r}"
        raise ArgumentError(message)
    return process_id


def as_process_class(value: object) -> type[Process]:
    """Return ``value`` if it is a process class, else raise :class:`ProcessDefinitionError`."""
    if isinstance(value, type) and issubclass(value, Process):
        return value
    message = f"{value!r} is no subclass of foundation.Process"
    raise ProcessDefinitionError(message)
