"""What a supervisor is to run: child specs, which are data and may travel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, TypeVar, TypeVarTuple, get_args

from msgspec import Struct

from foundation.errors import ArgumentError
from foundation.processes.catalog import find, wire_name_of
from foundation.processes.process import as_process_class
from foundation.processes.spec import Spec, described
from foundation.processes.supervision.restarting import Restart

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")


class Child(Struct, Generic[T_co], frozen=True):
    """A process that a supervisor is to run: made with :func:`child` or :func:`supervisor`."""

    wire_name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    name: str | None = None
    restart: Restart = "permanent"
    stop_timeout_s: float | None = None

    @property
    def spec(self) -> Spec[T_co]:
        """The same process without a supervisor, for `start_process`; raises UnknownProcessClassError."""
        return Spec(find(self.wire_name), self.args, self.kwargs)


def child(
    cls: Callable[[*Ts], T] | Spec[T],
    /,
    *args: *Ts,
    name: str | None = None,
    restart: Restart = "permanent",
    stop_timeout_s: float | None = None,
) -> Child[T]:
    """Describe a child of a supervisor: a process class with its positional arguments, or a :func:`spec`.

    ``name`` is registered at each start, so references by name follow the child. ``restart`` says which ends make the
    supervisor start it again: every one (``"permanent"``), every one that is not in order (``"transient"``), none
    (``"temporary"``). ``stop_timeout_s`` are the seconds it has to stop before it is cancelled; by default those of its
    node, and for a supervisor as many as its children take.

    Raises :class:`ArgumentError` for what cannot be, :class:`ProcessDefinitionError` for what is no process class.
    """
    wanted = described(cls, args)
    check_choice("restart", restart, Restart)
    if stop_timeout_s is not None:
        check_positive("stop_timeout_s", stop_timeout_s)
    wire_name = wire_name_of(as_process_class(wanted.cls))
    return Child(wire_name, wanted.args, wanted.kwargs, name, restart, stop_timeout_s)


def check_choice(what: str, value: object, choices: object) -> None:
    """Raise :class:`ArgumentError` for what is none of the values of a Literal."""
    if value not in get_args(choices):
        message = f"{what} is one of {', '.join(map(repr, get_args(choices)))}, not {value!r}"
        raise ArgumentError(message)


def check_positive(what: str, value: float) -> None:
    """Raise :class:`ArgumentError` for what is no number of seconds above 0."""
    if not (value > 0 and math.isfinite(value)):
        message = f"{what} is a number of seconds above 0, not {value!r}"
        raise ArgumentError(message)
