"""The distributed child that simulated runs start, move, crash and terminate."""

from __future__ import annotations

import asyncio

from foundation import Process, idempotent
from foundation.core.sources import chance
from tests.simulate.children.book import current_book
from tests.simulate.ledger import current_ledger


class Worker(Process, wire_name="simulate.Worker"):
    """Counts; what it has counted goes with it when it is moved, and begins anew after a crash."""

    def __init__(self, name: str, version: int) -> None:
        self.name, self.version = name, version
        self.strain = f"{chance().getrandbits(32):08x}"
        self.count = 0

    async def started(self) -> None:
        current_book().begun.add(self.process_id)

    async def add(self, number: int, work_s: float) -> tuple[str, int]:
        """Count a call, and answer after a while; the strain is another one as soon as the state was lost."""
        current_ledger().executed(number)
        self.count += 1
        await asyncio.sleep(work_s)
        return self.strain, self.count

    @idempotent
    async def where(self) -> str:
        return str(self.process_id)

    async def snapshot(self) -> tuple[str, int]:
        return self.strain, self.count

    async def restore(self, state: tuple[str, int]) -> None:
        self.strain, self.count = state
