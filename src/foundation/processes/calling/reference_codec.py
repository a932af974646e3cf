"""References as arguments, results and fields: how they travel, and whose they are on arrival."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any

import msgspec

from foundation.core.codec import Extension
from foundation.processes import catalog
from foundation.processes.calling.reference import Address, Reference, is_reference
from foundation.processes.catalog import wire_name_of
from foundation.processes.interface.annotations import AnyReference, is_protocol
from foundation.processes.interface.interface import interface_of
from foundation.processes.process import Process

CODE = 1

MakeReference = Callable[[type, Address], Reference]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Address).decode


def reference_extension(make: MakeReference) -> Extension:
    """Return the extension for one host, whose references ``make`` makes."""

    def from_wire(data: memoryview) -> Reference:
        address = _decode(data)
        if (address.process_id is None) == (address.name is None):
            message = "a reference has either an identity or a name"
            raise ValueError(message)
        return make(catalog.get(address.wire_name) or Process, address)

    def adapt(annotation: Any, value: Any) -> Reference:  # noqa: ANN401
        wanted = typing.get_origin(annotation) or annotation
        wanted = wanted.protocol if isinstance(wanted, AnyReference) else wanted
        if not is_reference(value):
            message = f"expected a reference to {wanted.__name__}, got {type(value).__name__}"
            raise TypeError(message)
        _check(wanted, catalog.get(value.__address__.wire_name))
        return make(wanted, value.__address__)

    return Extension(CODE, "references", _takes, _to_wire, from_wire, _adapts, adapt)


def _check(wanted: type, actual: type | None) -> None:
    """Raise TypeError when the process is known to be something else."""
    if actual is None:
        return
    if is_protocol(wanted):
        missing = sorted(interface_of(wanted).keys() - interface_of(actual).keys())
        if missing:
            message = f"expected a reference to {wanted.__name__}, but {actual.__name__} has no {', '.join(missing)}"
            raise TypeError(message)
    elif wire_name_of(wanted) not in map(wire_name_of, actual.__mro__):  # by name: it may have been defined again
        message = f"expected a reference to {wanted.__name__}, got one to {actual.__name__}"
        raise TypeError(message)


def _adapts(annotation: Any) -> bool:  # noqa: ANN401
    cls = typing.get_origin(annotation) or annotation
    return isinstance(cls, (AnyReference, type)) and (
        isinstance(cls, AnyReference) or is_protocol(cls) or issubclass(cls, Process)
    )


def _takes(kind: type) -> bool:
    return issubclass(kind, (Reference, Process))


def _to_wire(value: Any) -> msgspec.msgpack.Ext:  # noqa: ANN401
    # `value.reference` makes a reference of a process that hands itself out; a reference is its own.
    return msgspec.msgpack.Ext(CODE, _encode(value.reference.__address__))
