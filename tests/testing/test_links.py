"""The door and the links of real nodes, over simulated streams."""

from __future__ import annotations

import asyncio

import pytest

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.errors import RefusedError, UnreachableError
from foundation.fabric.dialing import dial
from foundation.fabric.door import Door, knock
from foundation.fabric.handshake import Identity
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.testing.simulation import SimulatedHost, Simulation

COOKIE = Secret("the cookie of the cluster")
PORT = 7447
ANNE = Identity("shop", NodeId("a" * 32), "anne", "1.0", ("tcp/10.0.0.1:1",))
BOB = Identity("shop", NodeId("b" * 32), "bob", "1.0", ("tcp/10.0.0.2:2",))
PACKETS = [bytes((number % 256,)) * (1 + number * 37 % 3000) for number in range(700)]
"""A megabyte."""


class Receiver:
    """A node with a door that keeps the packets of every link."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.links: list[Link] = []

    async def live(self) -> None:
        async with Door(lambda: BOB, COOKIE, FabricOptions(host="0.0.0.0", port=PORT), self._linked):
            await asyncio.get_running_loop().create_future()

    def _linked(self, link: Link, node: NodeId) -> None:
        assert node == ANNE.node
        link.take_over(lambda packet: self.packets.append(bytes(packet)))
        self.links.append(link)


async def send(host: SimulatedHost, packets: list[bytes]) -> None:
    link, identity = await dial((host.address, PORT), ANNE, COOKIE, 10, wants_link=True)
    assert identity == BOB
    room = asyncio.Event()
    link.writable = room.set
    for packet in packets:
        link.write([len(packet).to_bytes(4, "big"), packet])
        if not link.is_writable:
            room.clear()
            await room.wait()
    link.close()


def transfer(seed: int) -> str:
    sim = Simulation(seed)
    anne, bob = sim.host("anne"), sim.host("bob")
    receiver = Receiver()

    async def story() -> None:
        bob.run(receiver.live)
        await asyncio.sleep(0.1)
        sending = anne.run(send, bob, PACKETS)
        await asyncio.sleep(0.003)
        sim.network.partition(anne, bob)
        await asyncio.sleep(3)
        assert len(receiver.packets) < len(PACKETS)
        sim.network.heal()
        await sending
        await asyncio.sleep(10)

    sim.run(story)
    assert sum(map(len, PACKETS)) > 1_000_000
    assert receiver.packets == PACKETS
    return sim.transcript.digest()


def test_a_megabyte_of_packets_arrives_in_order() -> None:
    """A link carries every packet whole, once and in order, through a partition, and repeats that from its seed."""
    assert transfer(1) == transfer(1) != transfer(2)


def test_a_door_lets_in_and_refuses_as_in_reality() -> None:
    """Who has the cookie learns who lives there, who has not is refused, and a killed node refuses connections."""
    sim = Simulation(3)
    anne, bob = sim.host("anne"), sim.host("bob")
    address = (bob.address, PORT)

    async def story() -> None:
        bob.run(Receiver().live)
        await asyncio.sleep(0.1)
        assert await anne.run(knock, address, ANNE, COOKIE, 10) == BOB
        with pytest.raises(RefusedError):
            await anne.run(knock, address, ANNE, Secret("a wrong guess"), 10)
        sim.network.partition(anne, bob)
        with pytest.raises(UnreachableError, match="nobody answered"):
            await anne.run(knock, address, ANNE, COOKIE, 10)
        sim.network.heal()
        bob.kill()
        with pytest.raises(UnreachableError) as caught:
            await anne.run(knock, address, ANNE, COOKIE, 10)
        assert caught.value.connection_refused

    sim.run(story)


def test_a_door_closes_with_its_connections() -> None:
    """A node that stops ends its links; the other side notices."""
    sim = Simulation(4)
    anne, bob = sim.host("anne"), sim.host("bob")
    ends: list[float] = []

    async def stay() -> None:
        link, _ = await dial((bob.address, PORT), ANNE, COOKIE, 10, wants_link=True)
        gone = asyncio.Event()
        link.closed = gone.set
        await gone.wait()
        ends.append(sim.now)

    async def story() -> None:
        living = bob.run(Receiver().live)
        await asyncio.sleep(1)
        staying = anne.run(stay)
        await asyncio.sleep(1)
        living.cancel()
        with pytest.raises(asyncio.CancelledError):
            await living
        await staying
        assert 2 < ends[0] < 2.1

    sim.run(story)
