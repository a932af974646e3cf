"""The event loops that nodes run on."""

from __future__ import annotations

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop of uvloop, where that is installed, else one of asyncio."""
    try:
        import uvloop  # noqa: PLC0415 - it does not exist for every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
