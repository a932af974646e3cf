"""Call clients that block, in a thread that can hold up neither the event loop nor the end of the program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from foundation.errors import DiscoveryError

T = TypeVar("T")


class OwnThread:
    """Run one call at a time; one that nobody waits for any more goes on until its own time limits end it."""

    def __init__(self, name: str) -> None:
        """Start nothing yet; the name is for who looks at the threads of the program."""
        self._name = name
        self._busy = False

    async def call(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns or raise what it raises; DiscoveryError while an abandoned call goes on."""
        if self._busy:
            message = f"{self._name}: the call before, which took too long, has not ended yet"
            raise DiscoveryError(message)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        # Not in the loop's own threads, which are few, and are waited for when the program ends.
        thread = threading.Thread(target=self._run, args=(work, loop, outcome), name=self._name, daemon=True)
        thread.start()
        self._busy = True
        return await outcome

    def _run(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            failure = error
            self._tell(loop, outcome, lambda: outcome.set_exception(failure))
        else:
            self._tell(loop, outcome, lambda: outcome.set_result(result))

    def _tell(self, loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], resolve: Callable[[], None]) -> None:
        def ended() -> None:
            self._busy = False
            if not outcome.done():
                resolve()

        try:
            loop.call_soon_threadsafe(ended)
        except RuntimeError:  # the loop is closed: nobody waits
            self._busy = False
