"""The lanes between two nodes: each in order by itself, the more urgent ones first."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, Self, get_args

from foundation.errors import ArgumentError

ChannelName = Literal["control", "events", "telemetry", "data"]


class Channel(IntEnum):
    """What a frame is, and so how long it may wait behind others: see :data:`CHANNELS`. The numbers are of the wire."""

    CONTROL = 0
    """What keeps the cluster together, and calls marked urgent."""

    EVENTS = 1
    """Ordinary calls, casts and messages."""

    TELEMETRY = 2
    """What describes the others: measurements, traces."""

    DATA = 3
    """Bulk: streams and arguments of many megabytes."""

    STATE = 4
    """Rows that all nodes hold, and what is agreed about them: behind control, before all else."""

    COPIES = 5
    """Whole tables for who has none: bulk."""

    @classmethod
    def named(cls, name: ChannelName) -> Self:
        """Return the channel with that name; raises :class:`~foundation.errors.ArgumentError`."""
        if name not in get_args(ChannelName):
            message = f"there is no channel {name!r}, only {', '.join(get_args(ChannelName))}"
            raise ArgumentError(message)
        return cls[name.upper()]


CHANNELS = (Channel.CONTROL, Channel.STATE, Channel.EVENTS, Channel.TELEMETRY, Channel.DATA, Channel.COPIES)
"""The more urgent ones first."""

BULK = (Channel.DATA, Channel.COPIES)
"""What has as much under way as the path carries without a queue, and no more."""
