"""The process classes that this program has defined, by wire name.

Consistency: one catalog per OS process. A class that is defined again under the same wire name (a reload, a notebook
cell) takes the place of the old one; classes that nobody else refers to any more disappear.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from foundation.errors import UnknownProcessClassError

_known: WeakValueDictionary[str, type[Any]] = WeakValueDictionary()


class _Listener:
    """Who is told of new classes, for as long as somebody keeps it."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.tell = tell


_numbers = count()
_listeners: WeakValueDictionary[int, _Listener] = WeakValueDictionary()
"""In the order in which they came. Weak, so that a node that was thrown away without being stopped leaves memory."""


def main_name() -> str:
    """Return the name under which other nodes would import this program's `__main__`."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return _stem(file) if file else "__main__"


@lru_cache(maxsize=8)
def _stem(file: str) -> str:
    return Path(file).stem


def wire_name_of(cls: type) -> str:
    """Return the name that a class has on every node: ``module:qualname``, or the one its definition chose."""
    chosen = cls.__dict__.get("__wire_name__")
    if isinstance(chosen, str):
        return chosen
    module = main_name() if cls.__module__ == "__main__" else cls.__module__
    return f"{module}:{cls.__qualname__}"


def add(cls: type) -> None:
    """Make a class known and tell the listeners its wire name."""
    name = wire_name_of(cls)
    _known[name] = cls
    for listener in list(_listeners.values()):
        listener.tell(name)


def find(wire_name: str) -> type[Any]:
    """Return the class with that wire name, or raise :class:`UnknownProcessClassError` with those that are known."""
    cls = _known.get(wire_name)
    if cls is None:
        message = f"no process class {wire_name!r} was imported here; known are: {', '.join(names()) or 'none'}"
        raise UnknownProcessClassError(message)
    return cls


def get(wire_name: str) -> type[Any] | None:
    """Return the class with that wire name, if it is known."""
    return _known.get(wire_name)


def names() -> list[str]:
    """Return the wire names of all known classes, sorted."""
    return sorted(_known.keys())


def on_new(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call ``listener`` with the wire name of every class defined from now on, for as long as the result is kept.

    Calling the result ends it.
    """
    number, kept = next(_numbers), _Listener(listener)
    _listeners[number] = kept

    def forget() -> None:
        if _listeners.get(number) is kept:
            del _listeners[number]

    return forget


def class_with(method: object) -> type[Any] | None:
    """Return a known class that has exactly this function as a method; of several the one that defines it, if any."""
    name = getattr(method, "__name__", "")
    having = [cls for cls in list(_known.values()) if getattr(cls, name, None) is method]
    return next((cls for cls in having if name in vars(cls)), having[0] if having else None)
