"""What a class may say about one of its methods: how it is run, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def concurrent(method: Method) -> Method:
    """Let a method run beside the mailbox, in a task of its own, so that waiting in it blocks nobody else.

    Its calls run beside each other and beside the one message that the process handles otherwise: between two
    ``await`` the state may change. ``aside_capacity`` bounds how many run at once.
    """
    method.__concurrent__ = True  # type: ignore[attr-defined]
    return method
