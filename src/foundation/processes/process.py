"""What users extend: state behind methods that anyone in the cluster may call, one message at a time."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Protocol, Self

from foundation.core.identity import ProcessId
from foundation.errors import NotRunningError, ProcessDefinitionError
from foundation.processes import catalog
from foundation.processes.definition import check_definition, enclosing_locals

logger = logging.getLogger(__name__)


class Seat(Protocol):
    """Where a running process sits: what it can ask about itself."""

    @property
    def process_id(self) -> ProcessId:
        """The identity of the process."""
        ...

    def reference(self) -> Any:  # noqa: ANN401 - typed as the process's own class by its user
        """Return a reference to the process."""
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

    def _get_seat(self) -> Seat:
        if self.__seat is None:
            message = f"this {type(self).__name__} is a plain object: only a process that was started has a reference"
            raise NotRunningError(message)
        return self.__seat


def take_seat(process: Process, seat: Seat) -> None:
    """Tell an instance where it runs; done before its constructor."""
    process._Process__seat = seat  # type: ignore[attr-defined]  # noqa: SLF001


def as_process_class(value: object) -> type[Process]:
    """Return ``value`` if it is a process class, else raise :class:`ProcessDefinitionError`."""
    if isinstance(value, type) and issubclass(value, Process):
        return value
    message = f"{value!r} is no subclass of foundation.Process"
    raise ProcessDefinitionError(message)
