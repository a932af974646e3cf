"""How a program hears that it is to leave."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress


@contextmanager
def leave_on_signals(leave: Callable[[], None]) -> Generator[None]:
    """Call ``leave`` on SIGTERM and SIGINT in the block; a second SIGINT ends the program at once."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        leave()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with suppress(NotImplementedError):  # Windows
        loop.add_signal_handler(signal.SIGTERM, leave)
        loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        # uvloop forgets to when it is closed, and would go on to swallow what nobody listens for.
        for number, handler in before.items():
            with suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)


def leave_at_end_of_stdin(leave: Callable[[], None]) -> None:
    """Call ``leave`` when nobody holds the other end of the standard input any more."""
    loop = asyncio.get_running_loop()

    def wait() -> None:  # in a thread: the loop could watch a pipe, but not a file or a terminal in every state
        with suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        with suppress(RuntimeError):  # the loop has ended before
            loop.call_soon_threadsafe(leave)

    threading.Thread(target=wait, name="end of stdin", daemon=True).start()
