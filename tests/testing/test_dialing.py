"""Who dials a door hears of it once, and what comes too late is nobody's concern."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import UnreachableError
from foundation.fabric.dialing import dial
from foundation.fabric.door import Door
from foundation.fabric.handshake import Identity
from foundation.fabric.options import FabricOptions
from foundation.testing import Simulation

COOKIE = Secret("of the cluster")
TIMEOUT_S = 3.0


def identity() -> Identity:
    return Identity("main", new_node_id(), "a node", "1", ("memory/1",))


async def keep_a_door() -> None:
    async with Door(identity, COOKIE, FabricOptions(host="0.0.0.0", port=7000)):
        await asyncio.Event().wait()


async def dial_in_vain() -> None:
    with pytest.raises(UnreachableError):
        await dial(("bob", 7000), identity(), COOKIE, TIMEOUT_S, wants_link=False)


def test_a_connection_that_comes_when_time_is_up_is_thrown_away(caplog: pytest.LogCaptureFixture) -> None:
    """A node that stood still finds both at once: its connection made, and its time over. Nothing is left of it."""
    sim = Simulation(1)
    anne, bob = sim.host("anne"), sim.host("bob")

    async def story() -> None:
        keeping = bob.run(keep_a_door)
        await asyncio.sleep(1)
        dialing = anne.run(dial_in_vain)
        await asyncio.sleep(0.000_1)
        anne.pause()
        await asyncio.sleep(2 * TIMEOUT_S)
        anne.resume()
        await dialing
        await asyncio.sleep(1)
        assert not sim.network._transports
        gc.collect()  # an error that nobody wants is logged when it is thrown away
        keeping.cancel()

    with caplog.at_level(logging.ERROR):
        sim.run(story)
    assert not caplog.records
