"""Where a running process sits: what it can ask its node about itself, and have it do with its children."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

from foundation.core.identity import ProcessId
from foundation.processes.ended import EndReason
from foundation.processes.families import Families
from foundation.processes.interface.binding import Binding
from foundation.processes.monitor import Monitor
from foundation.processes.nursery import Custody
from foundation.processes.options import ProcessOptions
from foundation.processes.process import as_process_class
from foundation.processes.serving.requests import Hook
from foundation.processes.serving.timers import RunningTimers
from foundation.processes.spec import Spec
from foundation.processes.ties import Ties
from foundation.processes.timer import Timers

T = TypeVar("T")


class Premises(Protocol):
    """The host, as its processes see it."""

    ties: Ties
    families: Families
    options: ProcessOptions

    def binding(self, cls: type) -> Binding:
        """Return a class as this host serves it."""
        ...

    def reference(self, cls: type[T], process_id: ProcessId) -> T:
        """Return a reference to a process."""
        ...

    def ref(self, cls: Callable[..., T], name: str) -> T:
        """Return a reference by name."""
        ...

    async def start(
        self,
        cls: type[T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        *,
        name: str | None,
        link: ProcessId | None = None,
        custody: Custody | None = None,
    ) -> T:
        """Start a process on this node."""
        ...

    def tell(self, serial: int, hook: Hook) -> object:
        """Have a process of this node do something between two messages."""
        ...

    def end(self, serial: int, reason: str, kind: EndReason) -> None:
        """Let a process of this node take no more messages, and end."""
        ...


class Seat:
    """What one process can ask about itself."""

    def __init__(self, premises: Premises, process_id: ProcessId, cls: type, lasting_name: str | None = None) -> None:
        """``lasting_name`` is its own for longer than it runs here."""
        self.process_id = process_id
        self._lasting_name = lasting_name
        self._premises = premises
        self._cls = cls
        self.nursery = _Nursery(premises, process_id.serial)
        self._timers: Timers | None = None

    @property
    def timers(self) -> Timers:
        """Its timers; made at the first use."""
        if self._timers is None:
            plain = self._premises.binding(self._cls).plain
            tell = partial(self._premises.tell, self.process_id.serial)
            self._timers = RunningTimers(plain, tell, self._premises.options.timer_capacity)
        return self._timers

    @property
    def has_timers(self) -> bool:
        """Whether there are any, or have been."""
        return self._timers is not None

    def reference(self) -> Any:  # noqa: ANN401 - of the process's own class
        """Return a reference to the process."""
        if self._lasting_name is not None:
            return self._premises.ref(self._cls, self._lasting_name)
        return self._premises.reference(self._cls, self.process_id)

    def monitor(self, target: ProcessId) -> Monitor:
        """Watch a process on behalf of this one."""
        return self._premises.ties.monitor(self.process_id.serial, target)

    async def start_linked(self, wanted: Spec[Any], name: str | None) -> Any:  # noqa: ANN401 - of the class wanted
        """Start a process on the same node that is linked with this one."""
        cls = as_process_class(wanted.cls)
        return await self._premises.start(cls, wanted.args, wanted.kwargs, name=name, link=self.process_id)


class _Nursery:
    """See :class:`foundation.processes.nursery.Nursery`."""

    def __init__(self, premises: Premises, parent: int) -> None:
        self._premises = premises
        self._parent = parent

    async def start(
        self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None, stop_timeout_s: float | None
    ) -> Any:  # noqa: ANN401 - of the class wanted
        custody = Custody(self._parent, stop_timeout_s)
        return await self._premises.start(cls, args, kwargs, name=name, custody=custody)

    async def stop(self, child: ProcessId, reason: str) -> None:
        await self._premises.families.stop(child, reason)

    def dismiss(self, child: ProcessId, reason: str) -> None:
        self._premises.end(child.serial, reason, EndReason.STOPPED)

    def tell(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._premises.tell(self._parent, Hook(name, lambda _process: run()))

    def give_up(self, reason: str) -> None:
        self._premises.end(self._parent, reason, EndReason.CRASHED)
