"""SIGTERM means: leave in order, then end.

SIGINT needs nothing: asyncio turns it into a cancellation of the main task, which leaves the ``async with``.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable


class TerminationWatch:
    """Call somebody on SIGTERM, if this is the main thread and nobody else handles that signal."""

    def __init__(self, terminate: Callable[[], None]) -> None:
        self._terminate = terminate
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Begin to listen, where that is possible and nobody else does."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        loop = asyncio.get_running_loop()
        try:
            loop.add_signal_handler(signal.SIGTERM, self._terminate)
        except (NotImplementedError, RuntimeError):  # Windows, or a loop without signals
            return
        self._loop = loop

    def remove(self) -> None:
        """Stop listening."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGTERM)
            self._loop = None
