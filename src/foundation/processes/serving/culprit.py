"""Who is at work on an event loop, seen from another thread, so that no call has to leave a note."""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from collections.abc import Container
from types import CodeType, FrameType
from typing import NamedTuple

from foundation.processes.serving.handling import Handler
from foundation.processes.serving.requests import Request

_HANDLING = frozenset({Handler.perform.__code__, Handler.stream.__code__})
_WAITING = frozenset({"selectors", "asyncio.windows_events"})
_FRAMES = 12


class Culprit(NamedTuple):
    """Who holds the loop, and where in the code."""

    who: str
    stack: str
    work: object
    """What :func:`at_work` returns meanwhile."""


def at_work(loop: asyncio.AbstractEventLoop) -> object:
    """Return the task that a loop runs; None when it waits, or runs a mere callback."""
    return asyncio.current_task(loop)


def find_culprit(loop: asyncio.AbstractEventLoop, thread: int, resting: Container[CodeType]) -> Culprit | None:
    """Return who is at work on the loop of a thread, if it does not wait.

    ``resting`` is the code of the loop itself.
    """
    innermost = _innermost_frame(thread)
    if innermost is None or not loop.is_running():
        return None
    if innermost.f_code in resting or innermost.f_globals.get("__name__") in _WAITING:
        return None
    task = asyncio.current_task(loop)
    who, outermost = _handler(innermost, resting)
    if not who:
        who = f"the callback {outermost.f_code.co_qualname}" if task is None else f"the task {task.get_name()!r}"
    return Culprit(who, "".join(traceback.format_stack(innermost, _FRAMES)), task)


def _handler(innermost: FrameType, resting: Container[CodeType]) -> tuple[str, FrameType]:
    """Return what to call the handler that leads to a frame, or nothing, and the outermost frame above the loop's."""
    frame: FrameType | None = innermost
    outermost = innermost
    while frame is not None and frame.f_code not in resting:
        if frame.f_code in _HANDLING:
            handler, request = frame.f_locals.get("self"), frame.f_locals.get("request")
            if isinstance(handler, Handler) and isinstance(request, Request):
                return handler.describe(request), outermost
        outermost = frame
        frame = frame.f_back
    return "", outermost


def _innermost_frame(thread: int) -> FrameType | None:
    """Return the frame that a thread executes.

    Not to be asked for often, and only without garbage collection: a collection in the middle of it lets other threads
    run while it holds a lock of the interpreter, and the whole program can stand still for ever (CPython gh-106883).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames().get(thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented
    finally:
        if was_enabled:
            gc.enable()
