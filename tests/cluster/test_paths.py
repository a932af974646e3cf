"""Frames keep their promises while the paths under them come and go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

import foundation
from foundation.fabric import FabricOptions
from foundation.fabric.peer import Peer
from foundation.fabric.transports.memory import NETWORK
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually

ROUNDS = 200


class Ledger(foundation.Process):
    """Writes down what arrives, in the order of arrival."""

    def __init__(self) -> None:
        self.entries: list[int] = []

    async def write(self, entry: int) -> None:
        self.entries.append(entry)

    async def read(self) -> list[int]:
        return self.entries

    async def count(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number


def peer_of(node: foundation.Cluster, other: foundation.Cluster) -> Peer:
    parts: Any = node._running
    peer: Peer = parts.fabric.peers._peers[other.node.node_id]
    return peer


def cut_direct(node: foundation.Cluster, other: foundation.Cluster) -> None:
    """Break the TCP connection, as a router in between would."""
    direct: Any = peer_of(node, other)._direct
    if direct is not None:
        direct.link.abort()


class Writer:
    """Writes numbers into a ledger on another node, and cuts the ways there."""

    def __init__(self, here: foundation.Cluster, there: foundation.Cluster, ledger: Ledger) -> None:
        self.here, self.there, self.ledger = here, there, ledger
        self.written = 0
        self.ways: set[str] = set()

    async def write(self, count: int) -> None:
        for _ in range(count):
            await foundation.cast(self.ledger.write, self.written)
            self.written += 1

    async def use_until_linked(self) -> None:
        async with asyncio.timeout(10):  # a link is dialed when it is used
            while not peer_of(self.here, self.there).way == peer_of(self.there, self.here).way == "direct":
                await self.ledger.read()

    async def use_routes(self) -> None:
        """Have no link for a while, so that everything goes over the engine's routes."""
        peers = peer_of(self.here, self.there), peer_of(self.there, self.here)
        for peer in peers:
            peer.dial_after = float("inf")
        await eventually(
            lambda: not any(peer.dialing for peer in peers)
        )  # what was dialed before would come after the cut
        cut_direct(self.here, self.there)
        await eventually(lambda: peers[0].way == "routed")
        await self.write(3)
        await self.check()
        for peer in peers:
            peer.dial_after = 0.0

    async def cut_routes(self) -> None:
        NETWORK.cut(self.here.node.node_id, self.there.node.node_id)
        await self.write(1)
        NETWORK.heal()

    async def check(self) -> None:
        self.ways.add(str(peer_of(self.here, self.there).way))
        await self.write(1)
        assert await self.ledger.read() == list(range(self.written))
        assert [number async for number in self.ledger.count(3)] == [0, 1, 2]


async def test_200_cuts_and_changes_of_path_lose_and_double_nothing(start_nodes: StartNodes, transport: str) -> None:
    """After each of 200 cuts, of the link, of the routes or of both, calls, casts and streams work, all in order."""
    here, there = await start_nodes("here", "there", fabric=FabricOptions(stall_s=0.1))
    writer = Writer(here, there, await here.start_process(Ledger, node=there.node))
    chance = random.Random(4)
    for number in range(ROUNDS):
        if chance.random() < 0.5:
            await writer.use_until_linked()
        if number % 50 == 25:
            await writer.use_routes()
        await writer.write(chance.randrange(5))
        if chance.random() < 0.6:
            cut_direct(*chance.sample([here, there], 2))
        if transport == "memory" and chance.random() < 0.4:  # the routes of the real engine are cut in tests/system
            await writer.cut_routes()
        await writer.check()
    assert peer_of(here, there)._session.waiting_bytes == 0
    assert {"direct", "routed"} <= writer.ways


async def test_a_link_is_used_as_soon_as_there_is_one(start_nodes: StartNodes) -> None:
    """The first frames may take the routes; then both sides use one and the same direct link."""
    here, there = await start_nodes("here", "there")
    ledger = await here.start_process(Ledger, node=there.node)
    await ledger.write(1)
    await eventually(lambda: peer_of(here, there).way == peer_of(there, here).way == "direct")


async def test_the_picture_of_the_cluster_tells_each_path(start_nodes: StartNodes) -> None:
    """`cluster_info()` says of each member how this node reaches it now."""
    here, there = await start_nodes("here", "there")
    us, them = here.node.node_id, there.node.node_id
    await here.processes(there.node)
    await eventually(lambda: here.cluster_info().paths == {us: "-", them: "direct"})
    assert [member["path"] for member in here.cluster_info().as_dict()["members"]] == ["-", "direct"]
    peer_of(here, there).close("cut off")
    assert here.cluster_info().paths[them] == "connecting"


async def test_both_dial_at_once_and_one_link_is_left(start_nodes: StartNodes) -> None:
    """When both sides send to each other at the same instant they end with one link, the same for both."""
    here, there = await start_nodes("here", "there")
    await here.processes(there.node)
    await eventually(lambda: peer_of(here, there).way == peer_of(there, here).way == "direct")
    await eventually(lambda: not peer_of(here, there).dialing and not peer_of(there, here).dialing)
    cut_direct(here, there)
    await eventually(lambda: not peer_of(here, there).has_link and not peer_of(there, here).has_link)
    peer_of(here, there).dial_after = peer_of(there, here).dial_after = 0.0
    await asyncio.gather(here.processes(there.node), there.processes(here.node))
    await eventually(lambda: peer_of(here, there).way == peer_of(there, here).way == "direct")
    await eventually(lambda: _dialed(here, there) + _dialed(there, here) == 1)


def _dialed(node: foundation.Cluster, other: foundation.Cluster) -> int:
    direct: Any = peer_of(node, other)._direct
    return int(direct is not None and direct.dialed_here)


async def test_without_direct_links_everything_takes_the_routes(start_nodes: StartNodes) -> None:
    """A node that may not have direct links takes part all the same."""
    here, there = await start_nodes("here", "there", fabric=FabricOptions(direct_links=False))
    ledger = await here.start_process(Ledger, node=there.node)
    for entry in range(100):
        await foundation.cast(ledger.write, entry)
    assert await ledger.read() == list(range(100))
    assert peer_of(here, there).way == peer_of(there, here).way == "routed"
    assert here.cluster_info().paths == {here.node.node_id: "-", there.node.node_id: "routed"}


async def test_a_large_argument_travels_in_pieces(start_nodes: StartNodes) -> None:
    """An argument of 100 MB arrives whole, on either path."""

    class Scale(foundation.Process):
        async def weigh(self, load: bytes) -> tuple[int, bytes]:
            return len(load), load[-8:]

    here, there = await start_nodes("here", "there")
    scale = foundation.options(await here.start_process(Scale, node=there.node), timeout_s=20)
    load = bytes(100_000_000 - 8) + b"the end."
    assert await scale.weigh(load) == (100_000_000, b"the end.")


async def test_a_large_array_holds_up_nobody_else(start_nodes: StartNodes) -> None:
    """While an array of 100 MB is on its way, small calls to others are answered, and those behind it wait, no more."""

    class Scale(foundation.Process):
        async def weigh(self, load: npt.NDArray[np.float64]) -> tuple[float, float]:
            return load[-1], float(load[:-1].sum())

        async def ping(self) -> str:
            return "pong"

    here, there, other = await start_nodes("here", "there", "other")
    scale = await here.start_process(Scale, node=there.node)
    elsewhere = await here.start_process(Scale, node=other.node)
    load = np.zeros(12_500_000)
    load[-1] = 7.0
    async with asyncio.TaskGroup() as group:
        weighing = group.create_task(foundation.options(scale, timeout_s=20).weigh(load))
        await elsewhere.ping()
        behind = group.create_task(scale.ping())
        answered = 0
        while not weighing.done():
            assert await elsewhere.ping() == "pong"
            answered += 1
    assert weighing.result() == (7.0, 0.0)
    assert behind.result() == "pong"
    assert answered > 10
