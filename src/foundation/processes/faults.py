"""Errors on their way from a handler to its caller."""

from __future__ import annotations

import sys
import traceback
from typing import Any

from msgspec import Raw

from foundation.core.arrays import ARRAYS
from foundation.core.codec import Codec
from foundation.core.registered import REGISTERED
from foundation.errors import CallError, CodecError, DeadlockError, FoundationError, ProcessCrash, RemoteError
from foundation.processes.catalog import main_name
from foundation.processes.ended import Ending, EndReason
from foundation.processes.messages import NOTHING, Fault

_MOST_FRAMES = 50
_MOST_TEXT = 32_768
_HEAP_TYPE = 1 << 9
_CONTROL_FLOW = (StopIteration, StopAsyncIteration)
_ABOUT_ITSELF = (CallError, ProcessCrash)

_state = Codec([ARRAYS, REGISTERED]).decoder(tuple[tuple[Any, ...], dict[str, Any]])


def handler_fault(call: int, error: BaseException, codec: Codec) -> Fault:
    """Describe an error that a handler raised, with as much of its state as can be encoded."""
    shown = "".join(traceback.format_exception(error, limit=_MOST_FRAMES))
    try:
        state = Raw(codec.encode((_arguments(error), vars(error))))
    except Exception:  # noqa: BLE001 - an attribute of the user's error may be anything
        state = NOTHING
    return Fault(call, True, _type_name(type(error)), _text(error), shown[-_MOST_TEXT:], state)  # noqa: FBT003


def refusal(call: int, error: FoundationError) -> Fault:
    """Say that a call was surely not executed, and why."""
    return Fault(call, False, _type_name(type(error)), str(error))  # noqa: FBT003


def interruption(call: int, text: str) -> Fault:
    """Say that a handler was ended in the middle, and by what; nobody knows how far it came."""
    return Fault(call, True, "", text)  # noqa: FBT003


def crash(error: BaseException) -> Ending:
    """Describe the end of a process that failed."""
    return Ending(EndReason.CRASHED, _text(error), _type_name(type(error)))


def rebuild(fault: Fault) -> Exception:
    """Make the error that the caller gets.

    An error of the handler has the handler's type where that type is imported here already, and a RemoteError as its
    cause. A CallError stays a RemoteError: "not delivered" said by the handler is about a call of its own; and so
    does a ProcessCrash, which must not end the caller too. But a DeadlockError is about the whole chain, whoever of it
    is told.
    """
    cls = _imported(fault.error_type)
    if not fault.by_handler:
        refused = _bare(cls, fault) if cls is not None and issubclass(cls, FoundationError) else None
        return refused or RemoteError(fault.text, error_type=fault.error_type)
    name = fault.error_type.rpartition(":")[2]
    text = ": ".join(part for part in (name, fault.text) if part)
    remote = RemoteError(text, error_type=fault.error_type, remote_traceback=fault.traceback)
    if cls is None or (issubclass(cls, (*_ABOUT_ITSELF, *_CONTROL_FLOW)) and cls is not DeadlockError):
        return remote
    error = _bare(cls, fault)
    if error is None:
        return remote
    error.__cause__ = remote
    return error


def _bare(cls: type[Exception], fault: Fault) -> Exception | None:
    """Make an error without running its ``__init__``, which may ask for anything."""
    args, attributes = _restored(fault)
    # Only the constructors of the interpreter's own types run: the nearest one among the bases.
    base: Any = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    try:
        error = base.__new__(cls, *args)
        base.__init__(error, *args)
        error.__dict__.update({name: value for name, value in attributes.items() if not name.startswith("__")})
    except Exception:  # noqa: BLE001 - arguments from outside that do not fit this type
        return None
    return error if isinstance(error, Exception) else None


def _restored(fault: Fault) -> tuple[tuple[Any, ...], dict[str, Any]]:
    try:
        return _state(fault.state)  # type: ignore[no-any-return]
    except CodecError:
        return ((fault.text,) if fault.text else ()), {}


def _arguments(error: BaseException) -> tuple[Any, ...]:
    # An OSError keeps its file name out of its `args`.
    if isinstance(error, OSError):
        restored: Any = OSError.__reduce__(error)[1]
        return tuple(restored)
    return error.args


def _type_name(cls: type) -> str:
    module = main_name() if cls.__module__ == "__main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MOST_TEXT]
    except Exception:  # noqa: BLE001 - the __str__ of a user's error
        return ""


def _imported(type_name: str) -> type[Exception] | None:
    """Find an exception class among the imported modules; nothing is imported, no module is asked to do it."""
    module_name, _, qualname = type_name.partition(":")
    if module_name == main_name():
        module_name = "__main__"
    found: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        if found is None:
            return None
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) and issubclass(found, Exception) else None
