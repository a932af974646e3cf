"""The lanes between two nodes: each in order by itself, the more urgent ones first."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, Self, get_args

from foundation.errors import ArgumentError

ChannelName = Literal["control", "events", "telemetry", "data"]


class Channel(IntEnum):
    """What a frame is, and so how long it may wait behind others; a lower number goes first."""

    CONTROL = 0
    """What keeps the cluster together, and calls marked urgent."""

    EVENTS = 1
    """Ordinary calls, casts and messages."""

    TELEMETRY = 2
    """What describes the others: measurements, traces."""

    DATA = 3
    """Bulk: streams and arguments of many megabytes."""

    @classmethod
    def named(cls, name: ChannelName) -> Self:
        """Return the channel with that name; raises :class:`~foundation.errors.ArgumentError`."""
        if name not in get_args(ChannelName):
            message = f"there is no channel {name!r}, only {', '.join(get_args(ChannelName))}"
            raise ArgumentError(message)
        return cls[name.upper()]


CHANNELS = tuple(Channel)
