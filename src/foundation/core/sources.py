"""Where time and chance come from: the operating system, or the event loop, when that brings its own.

A loop that has an attribute ``sources`` of the shape of :class:`Sources` is asked for them; a simulation makes such
loops, so that a run can be repeated from its seed. Nothing else in the library reads a clock or draws a number.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from foundation.core.clock import Clock, SystemClock
from foundation.core.identity import NodeId


class Sources(Protocol):
    """Time and chance."""

    @property
    def clock(self) -> Clock:
        """What time it is."""
        ...

    @property
    def chance(self) -> random.Random:
        """Numbers that nobody can foresee, save who knows the seed of a simulation."""
        ...


class _System:
    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.chance: random.Random = random.SystemRandom()


_SYSTEM = _System()


def clock() -> Clock:
    """Return the clock for what runs here now."""
    return _sources().clock


def chance() -> random.Random:
    """Return the source of chance for what runs here now; the system's is fit for secrets."""
    return _sources().chance


def draw() -> float:
    """Draw a number from 0 to 1, 1 not included."""
    return chance().random()


def new_node_id() -> NodeId:
    """Draw a fresh identity. The first digit is never 0, because the fabric refuses leading zeros."""
    return NodeId(f"{chance().choice('123456789abcdef')}{chance().getrandbits(124):031x}")


def _sources() -> Sources:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _SYSTEM
    # Asking whether the loop fits a protocol would be a hundred times as slow, and this is asked at every turn.
    sources: Sources = getattr(loop, "sources", _SYSTEM)
    return sources
