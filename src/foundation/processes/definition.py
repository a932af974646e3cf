"""The rules for a process class, checked when it is made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, TypeGuard

from foundation.errors import ProcessDefinitionError

RESERVED = frozenset(
    {
        *("started", "stopping", "handle_message", "handle_ended", "name_lost"),
        *("reference", "process_id", "monitor", "start_linked", "send_after", "every"),
    }
)
"""Public names that every process has and that nobody calls through a reference."""

_HOOKS = ("started", "stopping", "handle_message", "handle_ended", "name_lost")
_OWN = ("reference", "process_id", "monitor", "start_linked", "send_after", "every")
_HANDOVER = {"snapshot": (), "restore": ("state",), "merge": ("state",)}
"""Methods that the node itself calls, on classes that have them, and what it gives them. See docs/distribution.md."""

_STATE = (property, functools.cached_property)


def check_definition(cls: type, process: type) -> None:
    """Raise :class:`ProcessDefinitionError` for public members that could not work through a reference."""
    for name, owner, member in public_members(cls, process):
        if isinstance(member, _STATE):
            message = (
                f"{cls.__name__}.{name} is a property, and state cannot be read through a reference: "
                f"make it `async def {name}(self)`, or call it `_{name}`"
            )
            raise ProcessDefinitionError(message)
        if isinstance(member, FunctionType) and not is_remote(member):
            where = "" if owner is cls else f" (from {owner.__name__})"
            message = (
                f"{cls.__name__}.{name}{where} is a plain `def`, and every public method of a process is called from "
                f"afar: make it `async def {name}`, mark it `@offload` to run it in a thread, or call it `_{name}`"
            )
            raise ProcessDefinitionError(message)
    _check_offloaded(cls)
    for name in _OWN:
        if getattr(cls, name, None) is not getattr(process, name):
            message = f"{cls.__name__}.{name} hides what every process has under that name: choose another"
            raise ProcessDefinitionError(message)
    for name in _HOOKS:
        if not inspect.iscoroutinefunction(getattr(cls, name, None)):
            message = f"{cls.__name__}.{name} must be `async def {name}`"
            raise ProcessDefinitionError(message)

    _check_hand_over(cls)


def _check_hand_over(cls: type) -> None:
    """Refuse methods that could not take over, or give, the state of a process."""
    gives_state = hasattr(cls, "snapshot")
    for name, given in _HANDOVER.items():
        member = getattr(cls, name, None)
        if member is None or (name == "merge" and not gives_state):
            continue
        try:
            inspect.signature(member).bind(cls, *given)
            is_right = inspect.iscoroutinefunction(member)
        except (TypeError, ValueError):
            is_right = False
        if not is_right:
            wanted = f"async def {name}({', '.join(('self', *given))})"
            message = (
                f"{cls.__name__}.{name} must be `{wanted}`, as it is called when a process goes on at another node, "
                f"or under one name with another one: give it another name if it is for something else"
            )
            raise ProcessDefinitionError(message)


def _check_offloaded(cls: type) -> None:
    for name, member in [pair for owner in cls.__mro__ for pair in vars(owner).items()]:  # private ones too
        if isinstance(member, FunctionType) and getattr(member, "__offload__", "") == "process":
            message = (
                f"{cls.__name__}.{name} runs in another program, where there is no state of this process: "
                f"put `@staticmethod` above `@offload` and leave out `self`"
            )
            raise ProcessDefinitionError(message)


def is_remote(member: object) -> bool:
    """Tell whether a member can be called through a reference."""
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member) or is_offloaded_static(member)


def is_offloaded_static(member: object) -> TypeGuard[staticmethod[..., Any]]:
    """Tell whether a member is a static method that runs elsewhere; other static methods run where they are called."""
    return isinstance(member, staticmethod) and hasattr(member.__func__, "__offload__")


def public_members(cls: type, stop: type) -> Iterator[tuple[str, type, Any]]:
    """Yield name, defining class and raw member of everything public, mixins included, ``stop`` and above not."""
    seen: set[str] = set()
    for owner in cls.__mro__:
        if owner is stop or owner is object:
            continue
        for name, member in vars(owner).items():
            if not name.startswith("_") and name not in seen and name not in RESERVED:
                seen.add(name)
                yield name, owner, member


def enclosing_locals(cls: type) -> dict[str, Any]:
    """Return what the functions around a class body have defined so far, for annotations that name it."""
    if "<locals>" not in cls.__qualname__:
        return {}
    found: dict[str, Any] = {}
    frame = inspect.currentframe()
    while frame is not None:
        if cls.__qualname__.startswith(f"{frame.f_code.co_qualname}.<locals>.") and frame.f_code.co_name != "<module>":
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    return {name: value for name, value in found.items() if _may_be_type(value)}


def _may_be_type(value: object) -> bool:
    # Not every local: that would keep the whole function's data alive as long as the class.
    return isinstance(value, (type, ModuleType)) or type(value).__module__ in {"typing", "types", "typing_extensions"}
