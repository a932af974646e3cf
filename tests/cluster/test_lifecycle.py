"""How a cluster starts and ends, and what cannot hurt it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

import foundation
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.discovery import Announcement, DiscoveryStrategy, Peer
from foundation.errors import AlreadyRunningError, ConfigurationError, FabricLostError, ListenError, NotRunningError
from foundation.fabric import Fabric, FabricOptions, NodeAddress
from foundation.fabric.packet import Resume, pack_frames, pack_resume, pack_sender
from foundation.processes.messages import Cast
from tests.cluster.conftest import StartNodes
from tests.cluster.test_processes import Counter
from tests.waiting import eventually

ALONE: dict[str, Any] = {"cluster": "static", "cookie": "tests", "handle_signals": False}


async def test_awaited_and_stopped() -> None:
    """`await start_cluster()` gives a running node, `stop()` ends it, twice does no harm, and then it is not usable."""
    cluster = await foundation.start_cluster(**ALONE)
    assert foundation.current_cluster() is cluster
    assert foundation.cluster_info().health == "alone"
    counter = await foundation.start_process(Counter, 5, name="count")
    assert await foundation.ref(Counter, "count").add(2) == await counter.add(0)
    await cluster.stop()
    await cluster.stop()
    with pytest.raises(NotRunningError):
        cluster.members()
    with pytest.raises(AlreadyRunningError):
        await cluster.start()
    with pytest.raises(NotRunningError, match="no cluster runs"):
        foundation.cluster_info()


async def test_module_calls_need_one_cluster() -> None:
    """With two clusters in one program the module-level calls say that they cannot know which is meant."""
    async with foundation.start_cluster(**ALONE), foundation.start_cluster(**ALONE):
        with pytest.raises(NotRunningError, match="2 clusters"):
            foundation.members()


async def test_a_lost_fabric_ends_the_block_with_its_cause() -> None:
    """When the session is lost under a node, the user's block is cancelled and leaving it raises the true cause."""

    async def work_until_lost() -> None:
        async with foundation.start_cluster(**ALONE) as cluster:
            parts: Any = cluster._running
            parts.fabric._session._session._session.close()
            await asyncio.Event().wait()

    with pytest.raises(FabricLostError, match="closed under the node"):
        await work_until_lost()


async def test_a_lost_fabric_is_raised_by_stop() -> None:
    """Without a block, `stop()` tells that the fabric was lost."""
    cluster = await foundation.start_cluster(**ALONE)
    parts: Any = cluster._running
    parts.fabric._session._session._session.close()
    with pytest.raises(FabricLostError):
        await cluster.until_lost()
    with pytest.raises(FabricLostError):
        await cluster.stop()


async def test_a_port_in_use_is_named_and_nothing_is_left() -> None:
    """A port in use fails the start with its number; what had been opened is closed again."""
    async with foundation.start_cluster(**ALONE) as cluster:
        port = int(cluster.address.rpartition(":")[2])
        with pytest.raises(ListenError, match=f"{port}.*in use"):
            await foundation.start_cluster(port=port, **ALONE)
        options = FabricOptions(session_port=port)
        with pytest.raises(ListenError, match=f"{port}.*in use"):
            await foundation.start_cluster(fabric=options, **ALONE)


async def test_bad_values_fail_before_anything_starts() -> None:
    """Values that cannot be used raise one clear error each."""
    wrong_values: list[dict[str, Any]] = [
        {"cluster": "nonsense"},
        {"cluster_name": "a/b"},
        {"host": "0.0.0.0", "cookie": ""},
        {"peers": ["nowhere"]},
        {"port": "x"},
        {"colour": "red"},
        {"name": ""},
    ]
    for wrong in wrong_values:
        with pytest.raises(ConfigurationError):
            await foundation.start_cluster(**(ALONE | wrong))


NO_ROUTE = (113, "no route to host")


class Raises(DiscoveryStrategy):
    """Fails each time."""

    async def lookup(self) -> Iterable[Peer]:
        raise OSError(*NO_ROUTE)


class Hangs(DiscoveryStrategy):
    """Never comes back."""

    async def start(self, announcement: Announcement) -> None:
        del announcement
        await asyncio.Event().wait()

    async def lookup(self) -> Iterable[Peer]:
        return ()


class Nonsense(DiscoveryStrategy):
    """Returns what no lookup may return."""

    async def lookup(self) -> Iterable[Peer]:
        return ["not", "peers"]  # type: ignore[list-item]  # pyright: ignore[reportReturnType]


async def test_bad_strategies_hurt_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Strategies that raise, hang or return nonsense are logged; the node starts, works and meets others."""
    async with foundation.start_cluster(**ALONE) as other:
        strategies = [Raises(), Hangs(), Nonsense()]
        options: dict[str, Any] = ALONE | {"cluster": strategies, "peers": [other.address]}
        with caplog.at_level(logging.WARNING):
            async with foundation.start_cluster(**options) as cluster:
                await eventually(lambda: len(cluster.members()) == 2)
                counter = await cluster.start_process(Counter, node=other.node)
                assert await counter.add(1) == 1
                logged = [record.getMessage() for record in caplog.records]
                assert sum("Raises" in line and "no route" in line for line in logged) == 1
                assert sum("Nonsense" in line for line in logged) == 1


async def test_garbage_from_a_member_is_counted_and_dropped(start_nodes: StartNodes, transport: str) -> None:
    """10,000 random and mutated frames from an authenticated peer leave the node serving, each bad one counted."""
    (node,) = await start_nodes("node")
    counter = await node.start_process(Counter)
    chance = random.Random(1)
    peer = Fabric(
        new_node_id(),
        "fuzzer",
        cluster="main",
        cookie=Secret("tests"),
        version="0",
        options=FabricOptions(transport=transport),
    )
    async with peer:
        host, port = node.address.split(":")
        await peer.meet(NodeAddress((host, int(port))))
        await eventually(lambda: node.node.node_id in peer.present())  # and so what it listens to is known here
        session: Any = peer._session
        parts: Any = node._running
        before = parts.fabric.counters.dropped + parts.host.dropped_frames
        key = f"frames/{node.node.node_id}"
        broken, sound = (pack_sender(sender) for sender in (peer.node_id, new_node_id()))
        for sender in (broken, sound):
            session.put(key, sender + pack_resume(Resume(1, 7, 0, answer_wanted=False, seen={})))
        call = _a_call(counter.process_id.serial)
        for number in range(1, 5_001):
            session.put(key, broken + _garbage(chance, call))
            session.put(key, sound + pack_frames(1, number, 0, [_mutated(chance, call)]))
            await asyncio.sleep(0)
        assert await counter.add(1) >= 1
        dropped = parts.fabric.counters.dropped + parts.host.dropped_frames - before
        assert dropped > 5_000
        assert parts.host.dropped_frames > 1_000
    assert await counter.add(1) >= 2


def _a_call(serial: int) -> bytes:
    return msgspec.msgpack.encode(Cast(serial, "add", msgspec.Raw(msgspec.msgpack.encode([1]))))


def _garbage(chance: random.Random, call: bytes) -> bytes:
    """Make bytes that are no packet, or a packet that is broken."""
    return chance.randbytes(chance.randrange(200)) if chance.random() < 0.5 else _mutated(chance, _a_packet(call))


def _a_packet(call: bytes) -> bytes:
    return pack_frames(1, 1, 0, [call])


def _mutated(chance: random.Random, genuine: bytes) -> bytes:
    mutated = bytearray(genuine)
    for _ in range(chance.randrange(1, 4)):
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
    return bytes(mutated[: chance.randrange(len(mutated)) + 1])
