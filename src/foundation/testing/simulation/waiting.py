"""Tell what tasks wait for, for the report of a run in which nothing moves any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import FrameType
from typing import Any

_DEPTH = 50
_MOST_TASKS = 20


def what_waits(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Give a line for each task of a loop that is not finished, in the order in which they were made."""
    tasks = sorted((task for task in asyncio.all_tasks(loop) if not task.done()), key=hash)
    lines = [f"task {task.get_name()!r} waits in {_place(task)}" for task in tasks[:_MOST_TASKS]]
    if len(tasks) > _MOST_TASKS:
        lines.append(f"and {len(tasks) - _MOST_TASKS} more tasks")
    return lines


def _place(task: asyncio.Task[Any]) -> str:
    """Follow what is awaited down to where it stands: own code first, as that is what a reader knows."""
    frames: list[FrameType] = []
    waiting: Any = task.get_coro()
    for _ in range(_DEPTH):
        frame = next((found for kind in ("cr", "gi", "ag") if (found := getattr(waiting, f"{kind}_frame", None))), None)
        if frame is None:
            break
        frames.append(frame)
        waiting = next((to for kind in ("cr", "gi", "ag") if (to := getattr(waiting, f"{kind}_await", None))), None)
    steps = [_step(frames[0]), *([_step(frames[-1])] if len(frames) > 1 else [])] if frames else ["code in C"]
    return ", in ".join(steps)


def _step(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"
