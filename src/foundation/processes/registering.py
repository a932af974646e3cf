"""The call by which a program lets a class of its own, or of a library, travel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from foundation.core.registered import Registered, register
from foundation.errors import ArgumentError
from foundation.processes.catalog import wire_name_of
from foundation.processes.interface.annotations import is_protocol
from foundation.processes.process import Process

T = TypeVar("T")


def register_type(
    cls: type[T],
    *,
    to_bytes: Callable[[T], bytes | bytearray | memoryview],
    from_bytes: Callable[[bytes], T],
    name: str | None = None,
) -> None:
    """Let values of a class travel as arguments, results, items, messages, and within all of these.

    Every program of the cluster that sends or receives them registers the class, before or after it has started its
    node; from any thread. A value of a subclass arrives as what ``from_bytes`` makes.

    Args:
        cls: the class; not one that travels anyway, such as a dataclass.
        to_bytes: makes bytes of a value; what it raises is an ArgumentError at the caller.
        from_bytes: makes a value of bytes, which come from outside and may be anything: it checks them, raises what it
            likes, and never unpickles them.
        name: what the class is called on the wire, the same on every node; ``module:qualname`` unless given.

    Raises:
        ArgumentError: the class or the name is registered already and says something else; the same again is fine.
    """
    _check(cls, to_bytes, from_bytes)
    register(Registered(cls, wire_name_of(cls) if name is None else name, to_bytes, from_bytes))


def _check(cls: object, *functions: object) -> None:
    if not isinstance(cls, type):
        message = f"expected a class, got {cls!r}"
        raise ArgumentError(message)
    if is_protocol(cls) or issubclass(cls, Process):
        message = f"{cls.__qualname__} is not registered: references to processes travel anyway"
        raise ArgumentError(message)
    for function in functions:
        if not callable(function):
            message = f"expected a function for {cls.__qualname__}, got {function!r}"
            raise ArgumentError(message)
