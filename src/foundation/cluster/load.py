"""What this node tells the others about its load, and what it knows of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from foundation.core.identity import NodeId
from foundation.fabric import Fabric
from foundation.membership import Member, Membership
from foundation.processes import Host

_INTERVAL_S = 1.0


class _Placed(NamedTuple):
    """Processes placed on a member since it told the number ``told``."""

    told: int
    since: int


class LoadTeller:
    """Count processes and frames, and tell the number of processes when it changed, at most once a second."""

    def __init__(self, membership: Membership, host: Host, fabric: Fabric) -> None:
        self._membership = membership
        self._host = host
        self._fabric = fabric
        self._placed: dict[NodeId, _Placed] = {}
        self._frames = 0
        self.message_rate = 0.0

    async def run(self) -> None:
        """Look once a second, for ever."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_INTERVAL_S)
            now = loop.time()
            self._tell(now - before)
            before = now

    def processes(self) -> int:
        """Return the processes on all members, as each last told."""
        others = sum(m.processes for m in self._membership.members() if m.node_id != self._fabric.node_id)
        return others + self._host.process_count

    def least_loaded(self, able: Sequence[Member]) -> NodeId:
        """Return the member that runs the fewest processes, and count one more for it until it tells its own number."""
        chosen = min(able, key=lambda m: (self._load(m), m.node_id))
        self._placed[chosen.node_id] = _Placed(chosen.processes, self._placed_on(chosen) + 1)
        return chosen.node_id

    def _load(self, member: Member) -> int:
        if member.node_id == self._fabric.node_id:
            return self._host.process_count
        return member.processes + self._placed_on(member)

    def _placed_on(self, member: Member) -> int:
        """Return how many processes went to a member since it last told a number."""
        placed = self._placed.get(member.node_id)
        return placed.since if placed is not None and placed.told == member.processes else 0

    def _tell(self, elapsed_s: float) -> None:
        if self._placed:
            self._placed = {m.node_id: p for m in self._membership.members() if (p := self._placed.get(m.node_id))}
        frames = self._fabric.counters.frames_sent + self._fabric.counters.frames_received
        self.message_rate = (frames - self._frames) / elapsed_s
        self._frames = frames
        if self._host.process_count != self._membership.me.processes:
            self._membership.describe(processes=self._host.process_count)
