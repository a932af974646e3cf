"""Where the process is that is called by its name, and where it is next when it has moved."""

from __future__ import annotations

import asyncio

from foundation.core.identity import ProcessId
from foundation.errors import CallTimeout, NotDelivered
from foundation.processes.calling.dialer import Dialer


async def find(dialer: Dialer, name: str, deadline: float | None) -> ProcessId:
    """Return the process that has a name; raises NoSuchNameError, CallTimeout."""
    left_s = dialer.calls.left_s(deadline)
    try:
        async with asyncio.timeout(left_s):
            return await dialer.find(name)
    except TimeoutError:
        message = f"looking up {name!r} took longer than {left_s:.3g} s"
        raise CallTimeout(message) from None


async def elsewhere(dialer: Dialer, name: str, last: ProcessId, deadline: float | None) -> ProcessId | None:
    """Return who has a name after a process that surely has not executed what was sent to it; None for nobody.

    For a name that is followed this waits until another process has it; raises NotDelivered when that takes too long.
    """
    left_s = dialer.calls.left_s(deadline)
    if left_s is not None and left_s <= 0:
        return None
    known = dialer.known(name)
    if known is not None and known != last:
        return known
    if not dialer.is_followed(name):
        return None
    try:
        async with asyncio.timeout(left_s):
            return await dialer.follow(name, last)
    except TimeoutError:
        message = f"{name!r} has not begun to run elsewhere within {left_s:.3g} s, and nothing was executed"
        raise NotDelivered(message) from None
