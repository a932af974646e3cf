"""When names were claimed, by a clock that all nodes keep together."""

from __future__ import annotations

import logging
import zlib

from foundation.core.clock import Clock
from foundation.core.hybrid_clock import HybridClock
from foundation.core.identity import NodeId
from foundation.errors import ClockDriftError
from foundation.registry.rows import NameRow
from foundation.replication import Change

logger = logging.getLogger(__name__)


class ClaimStamps:
    """Gives stamps, and hears those of others."""

    def __init__(self, me: NodeId, max_drift_s: float, clock: Clock) -> None:
        self._me = me
        self._clock = clock
        self._hybrid = HybridClock(max_drift_s, zlib.crc32(me.encode()))
        self._drifted: set[NodeId] = set()

    def next(self) -> int:
        """Return a stamp for a claim that is granted now."""
        return self._hybrid.stamp(self._clock.wall())

    def hear(self, changes: list[Change]) -> None:
        """Take the newest stamp among the rows of others."""
        stamp, owner = max(
            ((row.stamp, owner) for owner, _, _, row in changes if type(row) is NameRow and owner != self._me),
            default=(0, self._me),
        )
        try:
            self._hybrid.hear(stamp, self._clock.wall())
        except ClockDriftError as error:
            if owner not in self._drifted:
                self._drifted.add(owner)
                logger.warning("node %s registers names with %s", owner[:8], error)
