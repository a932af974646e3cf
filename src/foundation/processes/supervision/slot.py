"""One child of a supervisor: what it is to be, and what has become of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from foundation.core.identity import ProcessId
from foundation.errors import UnknownProcessClassError
from foundation.processes.agent import BUILT_IN
from foundation.processes.catalog import find, get
from foundation.processes.supervision.child import Child
from foundation.processes.supervision.restarting import Pace, Restart

State = Literal["running", "restarting", "stopped"]


class ChildInfo(Struct, frozen=True):
    """What a supervisor says about one child."""

    id: str
    """Its name; without one that of its class, with a number where that is needed."""

    process_id: ProcessId | None
    """None while it does not run."""

    wire_name: str
    restart: Restart
    restarts: int
    """How often it was started again since it was added."""

    state: State
    why: str
    """How it ended last, or why it did not start; empty as long as neither has happened."""


class ChildCount(Struct, frozen=True):
    """How many children a supervisor has, and in which state."""

    children: int
    running: int
    restarting: int
    stopped: int


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one child."""

    id: str
    child: Child[Any]
    pace: Pace
    state: State = "stopped"
    process_id: ProcessId | None = None
    leaving: ProcessId | None = None
    """The process that is being stopped."""

    why: str = ""
    restarts: int = 0
    started_at: float = 0.0
    ticket: int = 0
    """Which round of restarts it waits for."""

    _cls: type[Any] = field(init=False)

    def __post_init__(self) -> None:
        if self.child.wire_name.startswith(BUILT_IN):
            message = f"{self.child.wire_name} is no class to be started"
            raise UnknownProcessClassError(message)
        self._cls = find(self.child.wire_name)

    @property
    def cls(self) -> type[Any]:
        """The class, as it was defined last."""
        return get(self.child.wire_name) or self._cls

    def runs(self, process_id: ProcessId, now: float) -> None:
        """Note that the child runs."""
        self.state, self.process_id, self.started_at = "running", process_id, now

    def rests(self, state: State, why: str) -> None:
        """Note that the child does not run."""
        self.state, self.process_id, self.why = state, None, why

    def info(self) -> ChildInfo:
        """Describe the child."""
        child = self.child
        return ChildInfo(self.id, self.process_id, child.wire_name, child.restart, self.restarts, self.state, self.why)
