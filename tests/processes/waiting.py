"""Wait for a condition that other tasks of the same loop bring about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], what: str, turns: int = 2_000) -> None:
    """Let the other tasks run until ``condition`` holds; ``what`` says what was waited for."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    message = f"did not happen within {turns} turns of the loop: {what}"
    raise AssertionError(message)
