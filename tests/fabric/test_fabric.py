"""A node on the wire: presence, frames and topics, over the real engine and over the one in memory."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import (
    FabricLostError,
    ListenError,
    NotDelivered,
    NotRunningError,
    Overloaded,
    RefusedError,
    UnknownStrategyError,
    UnreachableError,
)
from foundation.fabric import NodeAddress, keys
from foundation.fabric.fabric import TRANSPORTS
from foundation.fabric.packet import Resume, pack_frames, pack_resume, pack_sender
from foundation.fabric.path import ROUTED_WINDOW_BYTES
from foundation.fabric.peers import _FEW_OF_STATE
from foundation.fabric.session import PIECE_BYTES
from foundation.fabric.transport import SessionSettings, TransportSession
from foundation.fabric.transports.memory import NETWORK
from tests.fabric.nodes import Node, Nodes, some_nodes
from tests.waiting import eventually, turns

KIB = 1 << 10


@pytest.fixture(params=["memory", "zenoh", "zenoh, routed"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    transport, _, way = request.param.partition(", ")
    async with some_nodes(transport, direct_links=not way) as started:
        yield started


@pytest.fixture
async def memory_nodes() -> AsyncIterator[Nodes]:
    async with some_nodes("memory", direct_links=False) as started:  # its cuts do not cut TCP
        yield started
        NETWORK.heal()


@pytest.fixture
async def zenoh_nodes() -> AsyncIterator[Nodes]:
    async with some_nodes("zenoh") as started:
        yield started


async def member_without_manners(nodes: Nodes, victim: Node) -> TransportSession:
    """Open a bare session that has the cookie, linked to a node."""
    settings = SessionSettings(
        new_node_id(), keys.namespace("shop"), Secret("secret"), "127.0.0.1", 0, 10.0, 10.0, 10.0
    )
    session: TransportSession = await TRANSPORTS.find(nodes.transport)().open(settings, print)
    await session.introduce(victim.id, victim.fabric._identity().endpoints)
    return session


# --- presence ------------------------------------------------------------------------------------------------


async def test_nodes_meet_and_see_what_the_other_says(nodes: Nodes) -> None:
    """One knock makes both present at each other, with their facts; the identity tells who lives there."""
    one, two = await nodes.start(), await nodes.start()
    identity = await one.fabric.meet(two.fabric.door)
    assert identity == two.fabric._identity()
    await eventually(lambda: one.facts == {two.id: b"node-2"} and two.facts == {one.id: b"node-1"})
    assert await one.fabric.meet(two.fabric.door) == identity


async def test_a_probe_links_nobody(nodes: Nodes) -> None:
    """Asking who lives at an address leaves both as they were."""
    one, two = await nodes.start(), await nodes.start()
    assert (await one.fabric.probe(two.fabric.door)).node == two.id
    await turns()
    assert not one.fabric.present()


async def test_new_facts_replace_the_old_ones(nodes: Nodes) -> None:
    """Each announcement arrives, the last one stays, and meanwhile the node is never absent."""
    one, two = await nodes.pair()
    for number in range(20):
        one.fabric.announce(b"%d" % number)
    await eventually(lambda: two.facts.get(one.id) == b"19")
    assert (one.id, None) not in two.changes


async def test_who_withdraws_is_absent_and_can_return(nodes: Nodes) -> None:
    """Taking back the facts makes a node absent for the others; announcing again makes it present."""
    one, two = await nodes.pair()
    one.fabric.withdraw()
    one.fabric.withdraw()
    await eventually(lambda: one.id not in two.fabric.present())
    one.fabric.announce(b"again")
    await eventually(lambda: two.facts.get(one.id) == b"again")


async def test_a_closed_node_is_absent_at_once(nodes: Nodes) -> None:
    """The others need not wait for a lease to see that a node has closed."""
    one = await nodes.start()
    two = nodes.make()
    async with two.fabric:
        two.fabric.announce(b"")
        await nodes.meet(one, two)
    await eventually(lambda: not one.fabric.present(), within_s=2)
    assert one.changes[-1] == (two.id, None)


async def test_two_clusters_live_side_by_side(nodes: Nodes) -> None:
    """Nodes of two clusters, on the same machine and with the same cookie, neither meet nor hear each other."""
    shop, shop_too = await nodes.pair()
    bank, bank_too = await nodes.start("bank"), await nodes.start("bank")
    await nodes.meet(bank, bank_too)
    with pytest.raises(RefusedError, match="another cluster"):
        await shop.fabric.meet(bank.fabric.door)
    heard: set[str] = set()

    def note(node: Node, topic: str, _payload: bytes) -> None:
        heard.add(f"{node.fabric.name} {topic}")

    for node in (shop, shop_too, bank, bank_too):
        node.fabric.subscribe("**", partial(note, node))

    def publish_and_look() -> bool:  # a subscription needs a moment to be known
        shop.fabric.publish("a", b"")
        bank.fabric.publish("b", b"")
        return {f"{node.fabric.name} {topic}" for node, topic in expected} <= heard

    expected = [(shop, "a"), (shop_too, "a"), (bank, "b"), (bank_too, "b")]
    await eventually(publish_and_look)
    assert heard == {f"{node.fabric.name} {topic}" for node, topic in expected}
    assert shop.fabric.present() == {shop_too.id}


async def test_who_is_not_wanted_is_not_met(nodes: Nodes) -> None:
    """Another cookie, nobody there, and this node itself: each is an error of its own."""
    one, other = await nodes.start(), await nodes.start(cookie="another")
    with pytest.raises(RefusedError, match="cookie"):
        await one.fabric.meet(other.fabric.door)
    assert other.fabric.refused == 1
    with pytest.raises(RefusedError, match="leads back"):
        await one.fabric.meet(one.fabric.door)
    with pytest.raises(UnreachableError):
        await one.fabric.meet(NodeAddress(("127.0.0.1", 1)))
    assert not one.fabric.present()


async def test_who_ends_while_it_is_met_is_given_up(memory_nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as its door is gone, not when the introduction has waited long enough: others wait for the answer."""
    one, two = await memory_nodes.start(), memory_nodes.make()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(two.fabric)

        async def introduce(_node: NodeId, _endpoints: object) -> None:
            await stack.aclose()
            await asyncio.Event().wait()

        monkeypatch.setattr(one.fabric._running, "introduce", introduce)
        async with asyncio.timeout(5.0):
            with pytest.raises(UnreachableError, match="any more") as caught:
                await one.fabric.meet(two.fabric.door)
    assert caught.value.connection_refused


def test_addresses_print_as_text() -> None:
    """Host and port with a colon, IPv6 in brackets."""
    assert str(NodeAddress(("10.0.0.1", 4000))) == "10.0.0.1:4000"
    assert str(NodeAddress(("fd00::1", 4000))) == "[fd00::1]:4000"


# --- frames --------------------------------------------------------------------------------------------------


async def test_frames_arrive_in_order_and_travel_together(nodes: Nodes) -> None:
    """Many small frames arrive complete and in order, in far fewer batches, in both directions at once."""
    one, two = await nodes.pair()
    for start in range(0, 10_000, 100):
        for number in range(start, start + 100):
            one.send(two, number)
            two.send(one, -number)
        await turns(1)
    await eventually(lambda: len(one.got) == len(two.got) == 10_000)
    assert two.got_from(one) == list(range(10_000))
    assert one.got_from(two) == [-number for number in range(10_000)]
    assert two.fabric.counters.packets_received < 1000
    assert one.fabric.counters.frames_sent == two.fabric.counters.frames_received == 10_000


async def test_more_than_the_window_passes_through_it(nodes: Nodes) -> None:
    """A window much smaller than what is sent slows down and loses nothing."""
    one, two = await nodes.pair(window_bytes=64 * KIB)
    blocks = [bytes([number % 256]) * (40 * KIB) for number in range(100)]
    for block in blocks:
        one.send(two, block)
    await eventually(lambda: len(two.got) == len(blocks))
    assert two.got_from(one) == blocks


async def test_windows_may_differ(nodes: Nodes) -> None:
    """A node with a small window is not stalled by one with a large window."""
    one, two = await nodes.start(window_bytes=256 * KIB), await nodes.start(window_bytes=64 << 20)
    await nodes.meet(one, two)
    for number in range(200):
        one.send(two, [number, bytes(10 * KIB)])
    await eventually(lambda: len(two.got) == 200)


async def test_a_node_can_send_to_itself(nodes: Nodes) -> None:
    """Frames to the own node arrive in order, in a later turn, and need no peer."""
    one = await nodes.start()
    for number in range(100):
        one.send(one, number)
    assert not one.got
    await eventually(lambda: len(one.got) == 100)
    assert one.got_from(one) == list(range(100))


async def test_a_frame_for_a_stranger_is_not_delivered(nodes: Nodes) -> None:
    """A node that was never met, or that was forgotten, is told apart at once."""
    one, two = await nodes.pair()
    with pytest.raises(NotDelivered, match="not in the cluster"):
        one.fabric.send(new_node_id(), b"\xc0")
    one.send(two, 1)
    one.fabric.forget(two.id)
    with pytest.raises(NotDelivered):
        one.send(two, 2)


async def test_a_full_queue_refuses_more(nodes: Nodes) -> None:
    """Once the queue to a node holds its bound, a send fails; what was accepted arrives, and sending goes on."""
    one, two = await nodes.pair(queue_bytes=100 * KIB, window_bytes=64 * KIB)
    accepted = 0

    def send_until_refused() -> None:
        nonlocal accepted
        while accepted < 1000:
            one.send(two, bytes(KIB))
            accepted += 1

    with pytest.raises(Overloaded):
        send_until_refused()
    assert 100 <= accepted <= 102 + 128  # what waits, and what left already through the window
    await eventually(lambda: len(two.got) == accepted)
    one.send(two, "again")
    await eventually(lambda: two.got_from(one)[-1] == "again")


async def test_a_peer_that_stops_reading_costs_a_window(memory_nodes: Nodes) -> None:
    """While a peer does not answer, no more than the window and one batch is under way; the others are served."""
    one, two = await memory_nodes.pair(window_bytes=64 * KIB)
    three = await memory_nodes.start()
    await memory_nodes.meet(one, three)
    NETWORK.cut(one.id, two.id)
    for number in range(300):
        one.send(two, [number, bytes(10 * KIB)])
        one.send(three, number)
        await turns(1)
    peer = one.fabric.peers._peers[two.id]
    assert 64 * KIB <= peer.unacknowledged_bytes <= 2 * 64 * KIB + KIB
    assert peer.waiting_bytes > 2_000_000
    await eventually(lambda: three.got_from(one) == list(range(300)))
    NETWORK.heal()
    await eventually(lambda: len(two.got) == 300)
    assert [number for number, _ in two.got_from(one)] == list(range(300))


async def test_after_a_long_cut_what_waits_goes_on_in_order(memory_nodes: Nodes) -> None:
    """What was under way is sent again after the return, what waited follows; nothing is lost, doubled or reordered."""
    one, two = await memory_nodes.pair(window_bytes=64 * KIB, lease_s=0.05)
    NETWORK.cut(one.id, two.id)
    for number in range(100):
        one.send(two, [number, bytes(10 * KIB)])
        await turns(1)
    await eventually(lambda: not one.fabric.present() and not two.fabric.present())
    NETWORK.heal()
    await memory_nodes.meet(one, two)
    await eventually(lambda: two.got and two.got[-1][1][0] == 99)
    assert [number for number, _ in two.got_from(one)] == list(range(100))
    one.send(two, "more")
    await eventually(lambda: two.got[-1][1] == "more")


async def test_frames_of_a_past_incarnation_are_dropped(nodes: Nodes) -> None:
    """What this node does not admit is counted, not received, until it comes as a new incarnation."""
    one, two = await nodes.start(), await nodes.start()
    two.fabric.peers.admits = lambda node, incarnation: node != one.id or incarnation > 1
    await nodes.meet(one, two)
    for number in range(50):
        one.send(two, [number, bytes(10 * KIB)])
        await turns(1)
    await eventually(lambda: two.fabric.counters.dropped > 0)
    assert not two.got
    one.fabric.peers.become(2)
    one.send(two, "new")
    await eventually(lambda: two.got and two.got_from(one)[-1] == "new")
    assert len(two.got) == 51


async def test_what_comes_late_from_a_node_that_is_gone_does_not_bring_it_back(nodes: Nodes) -> None:
    """A node that was forgotten is not in the cluster, whatever of it is still on its way."""
    one = await nodes.start()
    two = nodes.make()
    async with two.fabric:
        two.fabric.announce(b"two")
        await nodes.meet(one, two)
        two.send(one, "hello")
        await eventually(lambda: one.got)
    await eventually(lambda: not one.fabric.present())
    one.fabric.forget(two.id)
    one.fabric.peers.admits = lambda node, incarnation: node != two.id or incarnation > 1
    late = [pack_resume(Resume(1, 7, 0, answer_wanted=True, seen={})), pack_frames(1, 1, 0, [b"\xc0"])]
    for packet in late:
        one.fabric.peers.routed(two.id, memoryview(packet))
        with pytest.raises(NotDelivered):
            one.send(two, "are you there?")


async def test_little_is_under_way_over_the_routes(memory_nodes: Nodes) -> None:
    """The engine is given no more than it queues while the network is cut; the rest comes when that has arrived."""
    one, two = await memory_nodes.pair()
    one.send(two, "hello")
    await eventually(lambda: two.got)
    NETWORK.cut(one.id, two.id)
    written: list[int] = []
    put = one.fabric.peers.put

    def count(receiver: NodeId, payload: bytes) -> None:
        written.append(len(payload))
        put(receiver, payload)

    one.fabric.peers.put = count
    for number in range(100):
        one.send(two, (number, bytes(20 * KIB)))
    await turns()
    assert 0 < sum(written) < ROUTED_WINDOW_BYTES + 2 * PIECE_BYTES
    NETWORK.heal()
    await eventually(lambda: len(two.got) == 101)


# --- topics --------------------------------------------------------------------------------------------------


async def test_topics_reach_their_subscribers(nodes: Nodes) -> None:
    """What is published reaches every node with a matching subscription, its own too, until it is taken back."""
    one, two = await nodes.pair()
    heard: list[tuple[str, str, bytes]] = []

    def listen(name: str, node: Node, topic: str) -> Any:
        return node.fabric.subscribe(topic, lambda topic, payload: heard.append((name, topic, payload)))

    listen("own", one, "orders/*")
    take_back = listen("far", two, "orders/**")
    listen("other", two, "bills/*")
    await published(one, "orders/new", heard, {"own", "far"})
    take_back()
    await published(one, "orders/old", heard, {"own"})
    assert ("other", "orders/new", b"x") not in heard


async def published(node: Node, topic: str, heard: list[tuple[str, str, bytes]], by: set[str]) -> None:
    """Publish until they have heard it, and nobody else: a subscription needs a moment to be known."""

    def publish_and_look() -> bool:
        node.fabric.publish(topic, b"x")
        return {name for name, told, _ in heard if told == topic} == by

    await eventually(publish_and_look)


# --- what is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [10_000])
async def test_garbage_is_counted_and_dropped(nodes: Nodes, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """A member that puts garbage on the wire, much of it, costs a count and a few lines in the log, nothing else."""
    one, two = await nodes.pair()
    rude = await member_without_manners(nodes, one)
    good = pack_frames(1, 1, 0, [b"\xc0"])
    bad = [b"", b"\x00" * 40, os.urandom(100), good[:-1], good[:4] + b"\x11" + good[5:]]
    senders = [new_node_id() for _ in range(7)]
    nobody = [b"", b"\0" * 16, b"\0" * 40, b"short"]
    try:
        for number in range(count):
            payload = pack_sender(senders[number % 7]) + bad[number % 5] if number % 10 else nobody[number % 4]
            rude.put(keys.frames(one.id), payload)
            if number % 100 == 0:
                await turns(1)
        for number in range(100):
            rude.declare(f"presence/garbage/{number}")
            rude.declare(f"presence/{senders[0]}/1/%%%{number}")()
        await eventually(lambda: one.fabric.counters.dropped >= count + 200)
        two.send(one, "still there?")
        await eventually(lambda: one.got_from(two) == ["still there?"])
    finally:
        await rude.close()
    assert one.fabric.present() == {two.id}
    assert len(caplog.records) < 50


async def test_nobody_is_looked_after_once_all_has_arrived(nodes: Nodes) -> None:
    """A timer runs only while an acknowledgement is outstanding, so that a node at rest sleeps."""
    one, two = await nodes.pair()
    one.send(two, "hello")
    peers = one.fabric.peers
    await eventually(lambda: bool(peers._awaited) or two.got_from(one) == ["hello"])
    await eventually(lambda: not peers._awaited and peers._looking is None)
    assert two.got_from(one) == ["hello"]


async def test_a_few_rows_are_no_reason_to_dial(zenoh_nodes: Nodes) -> None:
    """What all nodes tell all others takes the routes; a direct link is for whoever has more to say."""
    one, two = await zenoh_nodes.pair()
    one.fabric.peers.addresses_of = lambda _node: [str(two.fabric.door)]
    peer = one.fabric.peers._peer(two.id)
    for number in range(_FEW_OF_STATE):
        one.fabric.send(two.id, msgspec.msgpack.encode(number), Channel.STATE)
        assert not peer.dialing
    await eventually(lambda: two.got_from(one) == [*range(_FEW_OF_STATE)])
    assert peer.way == "routed"
    one.fabric.send(two.id, b"\x63", Channel.STATE)
    assert peer.dialing
    await eventually(lambda: peer.way == "direct" and two.got_from(one)[-1] == 99)


async def test_made_up_senders_cost_a_bounded_amount(nodes: Nodes) -> None:
    """Well-formed batches under thousands of names that are not present do not fill the memory."""
    one, two = await nodes.pair()
    rude = await member_without_manners(nodes, one)
    try:
        for number in range(6000):
            begin = pack_resume(Resume(1, number + 1, 0, answer_wanted=True, seen={1: 2**62}))
            sender = pack_sender(NodeId(f"{number + 1:x}"))
            rude.put(keys.frames(one.id), sender + begin + pack_frames(1, 1, 2**62, [b"\xc0"]))
            if number % 100 == 0:
                await turns(1)
        counters = one.fabric.counters
        await eventually(lambda: counters.packets_received + counters.dropped >= 6000)
        assert len(one.fabric.peers._peers) < 2000
        two.send(one, "still there?")
        await eventually(lambda: one.got_from(two) == ["still there?"])
        one.send(two, "yes")
        await eventually(lambda: two.got_from(one) == ["yes"])
    finally:
        await rude.close()


async def test_a_receiver_that_raises_does_not_stop_the_node(nodes: Nodes) -> None:
    """An error above the fabric, about one batch, leaves the following ones to be received."""
    one, two = await nodes.pair()
    one.send(two, 0)
    await eventually(lambda: two.got_from(one) == [0])  # from here on each frame goes by itself
    receive = two.fabric.peers.receive

    def fail_on_bad(node: NodeId, frames: memoryview | bytes, channel: Channel) -> None:
        if msgspec.msgpack.decode(frames) == ["bad"]:
            message = "broken on purpose"
            raise ValueError(message)
        receive(node, frames, channel)

    two.fabric.peers.receive = fail_on_bad
    for value in ("bad", 1, "bad", 2):
        one.send(two, value)
        await turns(1)
    await eventually(lambda: two.got_from(one) == [0, 1, 2])


async def test_a_lost_session_is_told(zenoh_nodes: Nodes) -> None:
    """When the session under a node is closed by anybody else, whoever waits for it learns that the node is lost."""
    one = await zenoh_nodes.start()
    session: Any = one.fabric._session
    session._session._session.close()
    async with asyncio.timeout(10):
        with pytest.raises(FabricLostError, match="closed under the node"):
            await one.fabric.until_lost()
    with pytest.raises(FabricLostError):
        one.fabric.raise_if_lost()


async def test_a_stopped_fabric_says_so(nodes: Nodes) -> None:
    """Before its start and after its end a fabric is not running."""
    node = nodes.make()
    with pytest.raises(NotRunningError):
        node.fabric.publish("a", b"")
    async with node.fabric:
        node.fabric.raise_if_lost()
    for use in (lambda: node.fabric.publish("a", b""), lambda: node.fabric.addresses):
        with pytest.raises(NotRunningError):
            use()


# --- start and end -------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_start_that_fails_gives_everything_back(zenoh_nodes: Nodes) -> None:
    """If the session cannot be opened, the error names its port, and the door's port is free again."""
    port = free_port()
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        taken = occupant.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{taken}: the port is in use"):
            await zenoh_nodes.start(port=port, session_port=taken)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await zenoh_nodes.start(port=port)


async def test_an_unknown_engine_is_named(memory_nodes: Nodes) -> None:
    """A transport that does not exist lists those that do, and the door is closed again."""
    port = free_port()
    memory_nodes.transport = "pigeon"
    with pytest.raises(UnknownStrategyError, match="memory, zenoh"):
        await memory_nodes.start(port=port)
    memory_nodes.transport = "memory"
    await memory_nodes.start(port=port)


def open_sockets() -> int:
    links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return sum(str(link).startswith("socket:") for link in links)


def running_threads() -> int:
    """Count the threads of the OS process, the engine's own among them."""
    return len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_nothing_is_left_behind() -> None:
    """Many nodes that have met and stopped leave no task, no socket, and no more threads than pools keep."""
    before = -1, -1
    for _ in range(20):
        async with some_nodes("zenoh") as nodes:
            await nodes.pair()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        if before == (-1, -1):
            await turns()
            before = open_sockets(), running_threads()
    await eventually(lambda: open_sockets() <= before[0])
    assert running_threads() < before[1] + 12


RUNTIME_PROGRAM = """
import asyncio, os
from foundation.core.sources import new_node_id
from foundation.core.secret import Secret
from foundation.fabric import Fabric, FabricOptions

async def main():
    async with Fabric(new_node_id(), "n", cluster="c", cookie=Secret(""), version="1", options=FabricOptions()):
        print(os.environ["ZENOH_RUNTIME"])

asyncio.run(main())
"""


@pytest.mark.parametrize("chosen", ["(rx: (worker_threads: 2))", None])
def test_the_users_own_runtime_is_respected(chosen: str | None) -> None:
    """A ZENOH_RUNTIME that is set stays as it is; otherwise one is chosen."""
    environment = {name: value for name, value in os.environ.items() if name != "ZENOH_RUNTIME"}
    if chosen:
        environment["ZENOH_RUNTIME"] = chosen
    command = [sys.executable, "-c", RUNTIME_PROGRAM]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=25)
    assert done.stdout.strip() == chosen or (chosen is None and "worker_threads: 1" in done.stdout)


async def test_the_cookie_is_nowhere_on_the_disk(
    zenoh_nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zenoh wants a file of passwords; it is gone once the session is open, and so it is when the opening failed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    await zenoh_nodes.pair()
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        with pytest.raises(ListenError):
            await zenoh_nodes.start(session_port=occupant.getsockname()[1])
    assert not list(os.scandir(tmp_path))


async def test_a_node_for_all_addresses_names_those_that_others_can_use(zenoh_nodes: Nodes) -> None:
    """A node that listens everywhere announces the machine's addresses; loopback only if there is no other."""
    one, two = await zenoh_nodes.start(host="0.0.0.0"), await zenoh_nodes.start(host="0.0.0.0")
    hosts = {address.rpartition(":")[0] for address in one.fabric.addresses}
    assert hosts == {"127.0.0.1"} or not any(host.startswith("127.") for host in hosts)
    host, _, port = two.fabric.addresses[0].rpartition(":")
    await one.fabric.meet(NodeAddress((host, int(port))))
    await eventually(lambda: one.fabric.present() == {two.id})
