"""Whether a thread may block: not where an event loop is running, but for the cells of a notebook."""

from __future__ import annotations

import asyncio
import inspect
from types import FrameType

from foundation.errors import RunningLoopError

_ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


def refuse_running_loop(own_loop: asyncio.AbstractEventLoop | None, *, allowed: bool = False) -> None:
    """Raise :class:`RunningLoopError` when a wait in this thread would hold up an event loop.

    The cell of a notebook runs inside the loop of its kernel, and whatever a cell does blocks that: what is called
    there from plain code passes, what is called from a coroutine does not. ``allowed`` is for other such hosts.
    """
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    if running is own_loop:
        message = "a process cannot use foundation.blocking in its event loop: use foundation, with `await`"
        raise RunningLoopError(message)
    if not allowed and not _in_cell():
        message = (
            "foundation.blocking would block the event loop that is running in this thread: use foundation, with "
            "`await`, in async code; or asyncio.to_thread(); or start_cluster(allow_running_loop=True)"
        )
        raise RunningLoopError(message)


def _in_cell() -> bool:
    """Tell whether this is plain code of an IPython cell: nothing asynchronous stands between it and the shell."""
    frame = inspect.currentframe()
    while frame is not None and not frame.f_code.co_flags & _ASYNCHRONOUS:
        frame = frame.f_back
    # A cell with `await` at its top level is a coroutine itself, run by the shell without anything in between.
    return frame is not None and (_is_shell(frame) or (frame.f_back is not None and _is_shell(frame.f_back)))


def _is_shell(frame: FrameType) -> bool:
    return frame.f_code.co_name == "run_code" and frame.f_globals.get("__name__") == "IPython.core.interactiveshell"
