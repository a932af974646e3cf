"""The lanes of a session: each in order by itself, the more urgent ones first."""

from __future__ import annotations

from enum import IntEnum


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


CHANNELS = tuple(Channel)
