"""Classes that travel because the program said how: the user's own, or those of a library.

Consistency: one registry per OS process. It may grow at any time and from any thread; what is encoded or decoded from
then on goes by it. On the wire a class is a name, and a name that was not registered here makes nothing.
"""

from __future__ import annotations

import threading
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import msgspec

from foundation.core.codec import Extension
from foundation.errors import ArgumentError, CodecError

CODE = 2
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Registered:
    """One class and how its values become bytes and back."""

    cls: type
    name: str
    """What the class is called on the wire; the same on every node."""

    to_bytes: Callable[[Any], Any]
    from_bytes: Callable[[bytes], Any]

    def agrees(self, other: Registered) -> bool:
        """Tell whether both say the same."""
        return (
            (self.cls, self.name) == (other.cls, other.name)
            and _same_function(self.to_bytes, other.to_bytes)
            and _same_function(self.from_bytes, other.from_bytes)
        )

    def is_redefined_by(self, other: Registered) -> bool:
        """Tell whether the other class is this one, defined again: a reload, a notebook cell."""
        old, new = self.cls, other.cls
        return old is not new and (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


_by_class: dict[type, Registered] = {}
_by_name: dict[str, Registered] = {}
_lock = threading.Lock()


def register(new: Registered) -> None:
    """Let a class travel; raises :class:`ArgumentError` for what contradicts an earlier registration."""
    _check(new)
    with _lock:
        known = _by_class.get(new.cls)
        if known is not None:
            if not known.agrees(new):
                message = f"{new.cls.__qualname__} was registered before, as {known.name!r} or with other functions"
                raise ArgumentError(message)
            return
        namesake = _by_name.get(new.name)
        if namesake is not None:
            if not namesake.is_redefined_by(new):
                message = f"the name {new.name!r} belongs to {namesake.cls.__module__}.{namesake.cls.__qualname__}"
                raise ArgumentError(message)
            del _by_class[namesake.cls]
        _by_class[new.cls] = _by_name[new.name] = new


def _check(new: Registered) -> None:
    import msgspec.inspect  # noqa: PLC0415 - only where a class is registered

    if not 0 < len(new.name.encode()) <= _LONGEST_NAME:
        message = f"the name of a type has 1 to {_LONGEST_NAME} bytes, not {len(new.name.encode())}: {new.name[:80]!r}"
        raise ArgumentError(message)
    try:
        travels = not isinstance(msgspec.inspect.type_info(new.cls), msgspec.inspect.CustomType)
    except (TypeError, NameError):  # a dataclass with a field that cannot travel
        travels = True
    if travels:
        message = (
            f"{new.cls.__qualname__} travels as what it is (builtin, dataclass, Struct, enum) and is not registered"
        )
        raise ArgumentError(message)


def _same_function(one: Any, other: Any) -> bool:  # noqa: ANN401
    if isinstance(one, FunctionType) and isinstance(other, FunctionType) and not one.__closure__:
        return one.__code__ == other.__code__ and one.__defaults__ == other.__defaults__  # a cell that ran again
    return bool(one == other)


def _nearest(kind: type) -> Registered | None:
    for base in kind.__mro__:
        if base in _by_class:
            return _by_class[base]
    return None


def _to_wire(value: Any) -> msgspec.msgpack.Ext:  # noqa: ANN401
    known = _nearest(type(value))
    assert known is not None  # noqa: S101 - it was asked whether it takes the class
    content = known.to_bytes(value)
    if not isinstance(content, (bytes, bytearray, memoryview)):
        message = f"to_bytes of {known.cls.__qualname__} gave {type(content).__name__}, not bytes"
        raise TypeError(message)
    name = known.name.encode()
    return msgspec.msgpack.Ext(CODE, b"".join((bytes((len(name),)), name, content)))


def _from_wire(data: memoryview) -> Any:  # noqa: ANN401
    end = 1 + data[0] if len(data) else 0
    if not 1 < end <= len(data):
        message = "a registered type without a name"
        raise CodecError(message)
    name = str(data[1:end], "utf-8")
    known = _by_name.get(name)
    if known is None:
        message = f"no type {name!r} was registered here; call foundation.register_type in this program too"
        raise CodecError(message)
    value = known.from_bytes(bytes(data[end:]))
    if not isinstance(value, known.cls):
        message = f"from_bytes of {known.cls.__qualname__} gave {type(value).__name__}"
        raise TypeError(message)
    return value


def _adapts(annotation: Any) -> bool:  # noqa: ANN401
    cls = typing.get_origin(annotation) or annotation
    if not isinstance(cls, type):
        return False
    return _nearest(cls) is not None or any(issubclass(known, cls) for known in list(_by_class))


def _adapt(annotation: Any, value: Any) -> Any:  # noqa: ANN401
    cls = typing.get_origin(annotation) or annotation
    if not isinstance(value, cls):
        message = f"expected {cls.__qualname__}, got {type(value).__qualname__}"
        raise TypeError(message)
    return value


REGISTERED = Extension(
    CODE, "registered types", lambda kind: _nearest(kind) is not None, _to_wire, _from_wire, _adapts, _adapt
)
"""All registered classes under one number, so that nobody has to agree on numbers."""
