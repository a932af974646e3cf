"""The processes that a simulated run uses: they write down in the ledger what they handle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from foundation import Process, concurrent
from foundation.core.channels import ChannelName
from tests.simulate.ledger import current_ledger


class Desk(Process, wire_name="simulate.Desk"):
    """Answers at once."""

    def __init__(self) -> None:
        self.ledger = current_ledger()

    async def double(self, number: int) -> int:
        self.ledger.executed(number)
        return 2 * number

    async def weigh(self, number: int, load: bytes) -> int:
        self.ledger.executed(number)
        return len(load)

    async def note(self, sender: str, channel: ChannelName, number: int) -> None:
        self.ledger.lane(sender, self.process_id, channel).handled.append(number)  # type: ignore[arg-type]

    async def count_to(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    async def forward(self, number: int, other: Desk) -> int:
        return await other.double(number)


class Sleeper(Process, wire_name="simulate.Sleeper"):
    """Takes its time."""

    def __init__(self) -> None:
        self.ledger = current_ledger()

    async def in_turn(self, number: int, seconds: float) -> int:
        self.ledger.executed(number)
        await asyncio.sleep(seconds)
        return number

    @concurrent
    async def aside(self, number: int, seconds: float) -> int:
        self.ledger.executed(number)
        await asyncio.sleep(seconds)
        return number
