"""The contract about failing services, tried on a strategy that asks nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest

from foundation.discovery import DiscoveryStrategy, Peer
from foundation.errors import DiscoveryError
from tests.discovery.faults import PERIOD_S, Fault, FaultContract


class Listed:
    """A list of nodes that can be lost, be wrong, or not be there."""

    def __init__(self) -> None:
        self.addresses: Sequence[str] = ()
        self.fault: Fault | None = None

    async def list(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses

    async def misbehave(self, fault: Fault | None) -> None:
        self.fault = fault


class Asking(DiscoveryStrategy):
    """Looks into the list."""

    poll_interval_s = PERIOD_S

    def __init__(self, listed: Listed) -> None:
        self._listed = listed

    async def lookup(self) -> Iterable[Peer]:
        match self._listed.fault:
            case None:
                return [Peer((address,)) for address in self._listed.addresses]
            case "empty" | "half":
                return []
            case "error":
                message = "no answer"
                raise DiscoveryError(message)
            case "hang":
                await asyncio.Event().wait()
                return []
            case "garbage":
                return [Peer(("garbage",))]


class TestFaults(FaultContract):
    """Of the framework itself."""

    @pytest.fixture
    async def source(self) -> Listed:
        return Listed()

    def make(self, source: Listed) -> DiscoveryStrategy:
        return Asking(source)
