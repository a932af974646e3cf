"""A process whose state outlives its node when that leaves in order."""

from __future__ import annotations

from foundation import Process


class Ledger(Process):
    """Counts what was entered, and forgets nothing when it moves."""

    def __init__(self) -> None:
        self.entries = 0

    async def enter(self) -> int:
        """Enter one thing; not to be done twice."""
        self.entries += 1
        return self.entries

    async def snapshot(self) -> int:
        """Return what it knows."""
        return self.entries

    async def restore(self, state: int) -> None:
        """Go on with what it knew."""
        self.entries = state
