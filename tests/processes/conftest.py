"""Hosts that are joined in memory, and the check that none of them leaves a task behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from tests.processes.memory_wire import MemoryWire, Network, SharedNames

StartHost = Callable[..., Awaitable[Host]]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    before = asyncio.all_tasks()
    yield Network()
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert not left, f"these tasks were left behind: {left}"


@pytest.fixture
async def start_host(network: Network) -> AsyncIterator[StartHost]:
    """Start hosts that are members of one network; all know all names."""
    async with AsyncExitStack() as stack:

        async def start(options: ProcessOptions | None = None) -> Host:
            wire = MemoryWire(network)
            host = Host(wire, options=options)
            host.names = SharedNames(wire.node_id, network.names)
            network.hosts[wire.node_id] = host
            return await stack.enter_async_context(host)

        yield start
    for host in network.hosts.values():
        assert len(host.calls) == 0, "nothing waits for an answer any more"
        assert len(host._requests) == 0, "no request is left without an answer"


@pytest.fixture
async def here(start_host: StartHost) -> Host:
    return await start_host()


@pytest.fixture
async def there(start_host: StartHost) -> Host:
    return await start_host()


@pytest.fixture(params=["near", "far"])
async def target(request: pytest.FixtureRequest, here: Host, there: Host) -> Host:
    """The host to start on: what is tested with it must hold near and far."""
    return here if request.param == "near" else there
