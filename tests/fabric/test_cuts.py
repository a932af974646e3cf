"""Zenoh and the simulated engine do the same when the network breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from foundation.testing import HostCluster, TestCluster, simulate
from tests.fabric.cut_contract import CutContract

MODULES = ["tests.fabric.sessions_on_nodes"]


class TestSimulatedCuts(CutContract):
    transport = "foundation.testing.simulation.engine:Transport"
    seed = 0

    @pytest.fixture(autouse=True, params=range(3))
    def _seed(self, request: pytest.FixtureRequest) -> None:
        self.seed = request.param

    def play(self, scenario: Callable[[TestCluster], Awaitable[None]], nodes: int = 2) -> None:
        simulate(scenario, nodes, seed=self.seed)


@pytest.mark.skipif(HostCluster.why_not() is not None, reason=str(HostCluster.why_not()))
@pytest.mark.timeout(60)
class TestZenohCuts(CutContract):
    transport = "zenoh"

    def play(self, scenario: Callable[[TestCluster], Awaitable[None]], nodes: int = 2) -> None:
        async def on_hosts() -> None:
            async with HostCluster(nodes, MODULES) as cluster:
                await scenario(cluster)

        asyncio.run(on_hosts())
