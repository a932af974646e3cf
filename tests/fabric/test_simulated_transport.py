"""The simulated engine keeps the contract of an engine, each session at a host of its own, in virtual time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.transport import SessionSettings, Transport, TransportSession
from foundation.testing import Simulation
from tests.fabric.transport_contract import Sessions, TransportContract

ENGINE = "foundation.testing.simulation.engine:Transport"


@dataclass
class SimulatedSessions(Sessions):
    """Opens each session at the next host."""

    simulation: Simulation = field(kw_only=True)

    async def begin(self, settings: SessionSettings) -> TransportSession:
        host = self.simulation.host(f"host-{len(self.opened)}")
        return await host.run(self.transport.open, settings, self.lost.append)


def simulated(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make of a test that runs in a real loop one that runs as the story of a simulation."""

    @functools.wraps(test)
    def run(self: TransportContract, sessions: SimulatedSessions, **arguments: object) -> None:
        async def story() -> None:
            await test(self, sessions, **arguments)
            await sessions.close()

        sessions.simulation.run(story)

    return run


class TestSimulatedTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> Transport:
        return TRANSPORTS.find(ENGINE)()

    @pytest.fixture
    def nowhere(self) -> str:
        return "memory/127.0.0.1:0"

    @pytest.fixture(params=range(3))
    def sessions(self, request: pytest.FixtureRequest, transport: Transport, nowhere: str) -> SimulatedSessions:
        return SimulatedSessions(transport, nowhere, simulation=Simulation(request.param))


for _name, _test in inspect.getmembers(TransportContract, inspect.iscoroutinefunction):
    if _name.startswith("test_"):
        setattr(TestSimulatedTransport, _name, simulated(_test))
