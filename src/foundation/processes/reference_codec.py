"""References as arguments, results and fields: how they travel, and whose they are on arrival."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import msgspec

from foundation.core.codec import Extension
from foundation.core.identity import ProcessId
from foundation.processes import catalog
from foundation.processes.annotations import AnyReference, is_protocol
from foundation.processes.interface import interface_of
from foundation.processes.process import Process
from foundation.processes.reference import Reference

CODE = 1

MakeReference = Callable[[type, ProcessId | None, str | None, str], Reference]


class _OnTheWire(msgspec.Struct, array_like=True):
    """A reference as bytes; without a process it is one by name."""

    process_id: ProcessId | None
    name: str | None
    wire_name: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_OnTheWire).decode


def reference_extension(make: MakeReference) -> Extension:
    """Return the extension for one host, whose references ``make`` makes."""

    def from_bytes(data: bytes) -> Reference:
        plain = _decode(data)
        if (plain.process_id is None) == (plain.name is None):
            message = "a reference has either an identity or a name"
            raise ValueError(message)
        cls = catalog.get(plain.wire_name) or Process
        return make(cls, plain.process_id, plain.name, plain.wire_name)

    def adapt(annotation: Any, value: Any) -> Reference:  # noqa: ANN401
        wanted = typing.get_origin(annotation) or annotation
        wanted = wanted.protocol if isinstance(wanted, AnyReference) else wanted
        if not issubclass(type(value), Reference):
            message = f"expected a reference to {wanted.__name__}, got {type(value).__name__}"
            raise TypeError(message)
        _check(wanted, catalog.get(value._wire_name))  # noqa: SLF001
        process_id, name, wire_name = value._process_id, value._name, value._wire_name  # noqa: SLF001
        return make(wanted, process_id, name, wire_name)

    return Extension(CODE, (Reference, Process), _to_bytes, from_bytes, _adapts, adapt)


def _check(wanted: type, actual: type | None) -> None:
    """Raise TypeError when the process is known to be something else."""
    if actual is None:
        return
    if is_protocol(wanted):
        missing = sorted(interface_of(wanted).keys() - interface_of(actual).keys())
        if missing:
            message = f"expected a reference to {wanted.__name__}, but {actual.__name__} has no {', '.join(missing)}"
            raise TypeError(message)
    elif not issubclass(actual, wanted):
        message = f"expected a reference to {wanted.__name__}, got one to {actual.__name__}"
        raise TypeError(message)


def _adapts(annotation: Any) -> bool:  # noqa: ANN401
    cls = typing.get_origin(annotation) or annotation
    return isinstance(cls, (AnyReference, type)) and (
        isinstance(cls, AnyReference) or is_protocol(cls) or issubclass(cls, Process)
    )


def _to_bytes(value: Any) -> bytes:  # noqa: ANN401
    if not issubclass(type(value), Reference):
        value = value.reference  # a process that hands itself out
    return _encode(_OnTheWire(value._process_id, value._name, value._wire_name))  # noqa: SLF001
