"""What is to be started: a class with the arguments of its constructor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, TypeVarTuple

from foundation.errors import ArgumentError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Spec(Generic[T]):
    """A process to be: made with :func:`spec`, started as often as one likes."""

    cls: Callable[..., T]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)


def spec(cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Spec[T]:
    """Describe a process with the arguments of its constructor, keywords too: ``spec(Counter, start=5)``."""
    return Spec(cls, args, kwargs)


class Starts(Protocol):
    """Starts processes, checked by mypy and pyright.

    This is the one signature in which both check the arguments of the constructor, know its defaults, and infer the
    class. It needs no overload. Keywords of the constructor go through :func:`spec`; arguments beside a spec are not
    seen by the checkers, so refuse them at run time.
    """

    async def start_process(self, cls: Callable[[*Ts], T] | Spec[T], /, *args: *Ts, name: str | None = None) -> T:
        """Start a process and return a reference to it, typed as its class."""
        ...


def described(cls: Callable[..., T] | Spec[T], args: tuple[Any, ...]) -> Spec[T]:
    """Return what :class:`Starts` was asked for as a spec."""
    if not isinstance(cls, Spec):
        return Spec(cls, args)
    if args:
        message = f"a spec carries its arguments: spec({getattr(cls.cls, '__name__', cls.cls)}, ...), not beside it"
        raise ArgumentError(message)
    return cls
