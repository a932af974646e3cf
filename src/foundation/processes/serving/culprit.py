"""Who is at work on an event loop, seen from another thread: by its stack, so that no call has to leave a note."""

from __future__ import annotations

import asyncio
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


def at_work(loop: asyncio.AbstractEventLoop, thread: int, resting: Container[CodeType]) -> object:
    """Return what the loop of a thread does: one request, one task or one callback; None when it only waits.

    It waits for something to happen, or for the machine to let it run. ``resting`` is the code of the loop itself.
    """
    innermost = _innermost(loop, thread, resting)
    return None if innermost is None else _work(loop, innermost, resting)[0]


def find_culprit(loop: asyncio.AbstractEventLoop, thread: int, resting: Container[CodeType]) -> Culprit | None:
    """Return who is at work on the loop of a thread, if it does not wait."""
    innermost = _innermost(loop, thread, resting)
    if innermost is None:
        return None
    work, who = _work(loop, innermost, resting)
    return Culprit(who, "".join(traceback.format_stack(innermost, _FRAMES)), work)


def _innermost(loop: asyncio.AbstractEventLoop, thread: int, resting: Container[CodeType]) -> FrameType | None:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented
    if frame is None or frame.f_code in resting or frame.f_globals.get("__name__") in _WAITING:
        return None
    return frame if loop.is_running() else None


def _work(loop: asyncio.AbstractEventLoop, innermost: FrameType, resting: Container[CodeType]) -> tuple[object, str]:
    frame: FrameType | None = innermost
    outermost = innermost
    while frame is not None and frame.f_code not in resting:
        if frame.f_code in _HANDLING:
            handler, request = frame.f_locals.get("self"), frame.f_locals.get("request")
            if isinstance(handler, Handler) and isinstance(request, Request):
                return request, handler.describe(request)
        outermost = frame
        frame = frame.f_back
    task = asyncio.current_task(loop)
    if task is not None:
        return task, f"the task {task.get_name()!r}"
    return outermost.f_code, f"the callback {outermost.f_code.co_qualname}"
