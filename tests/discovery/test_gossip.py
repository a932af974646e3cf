"""The gossip strategy: the contracts over real datagrams on loopback, and every kind of packet that it refuses."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

import foundation
from foundation.cluster.starting import ClusterStart
from foundation.core.secret import Secret
from foundation.discovery.catalog import make_strategy
from foundation.discovery.gossip_packet import HERE, MOST_BYTES, Junk, Message, Sealer, make_message
from foundation.discovery.loopback import loopback_id
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategies.gossip import GossipOptions, GossipStrategy, read_message
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError, MissingExtraError
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.discovery.contract import StrategyContract
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.discovery.test_mdns import why_no_multicast
from tests.waiting import eventually

SECRET = "a long random text"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def multicast() -> None:
    """Skip, saying why, where multicast over loopback does not work."""
    if why := why_no_multicast():
        pytest.skip(why)


def quick(port: int, **others: Any) -> GossipStrategy:
    arguments: dict[str, Any] = {"secret": SECRET, "heartbeat_s": 0.2, "forget_after_s": 2.0, "first_wait_s": 0.01}
    return GossipStrategy(GossipOptions(port=port, **(arguments | others)))


class OverTheNetwork(StrategyContract):
    """The contract, over one medium."""

    options: ClassVar[dict[str, Any]]
    to: str

    @pytest.fixture
    def make(self) -> Callable[[], DiscoveryStrategy]:
        self.port = free_port()
        return lambda: quick(self.port, **self.options)

    async def spoil(self) -> None:
        stranger = Sealer(Secret("another secret"))
        packet = stranger.seal(make_message(announcement(), "")(HERE, 1, 1, 1.0), os.urandom(12))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            for garbage in (b"", b"\x00", b"FdnG\x01" + b"\xff" * 100, b"FdnG" * 400, packet):
                mouth.sendto(garbage, (self.to, self.port))


@pytest.mark.usefixtures("multicast")
class TestMulticast(OverTheNetwork):
    """Nodes that listen on loopback only find each other through a group on it."""

    options: ClassVar[dict[str, Any]] = {"multicast_if": ("127.0.0.1",)}
    to = "239.255.70.78"


class TestBroadcast(OverTheNetwork):
    """Nodes find each other through the broadcast address."""

    options: ClassVar[dict[str, Any]] = {"multicast_if": ("127.0.0.1",), "broadcast_only": True}
    to = "127.255.255.255"


class Network:
    """Two nodes with an own port each, and a relay between them that is the network; the real one has no such faults.

    ``error`` is a double of a machine without a network: sending fails as it would there.
    """

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.made: list[tuple[int, socket.socket]] = []
        self.loop = asyncio.get_running_loop()

    def join(self, strategy_port: int) -> int:
        relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        relay.settimeout(0.0)
        relay.bind(("127.0.0.1", 0))
        self.made.append((strategy_port, relay))
        self.loop.add_reader(relay, self.pass_on, relay)
        return int(relay.getsockname()[1])

    def pass_on(self, relay: socket.socket) -> None:
        packet = relay.recv(65536)
        if self.fault in ("empty", "hang"):
            return
        if self.fault == "half":
            packet = packet[: len(packet) // 2]
        if self.fault == "garbage":
            packet = packet[:30] + os.urandom(len(packet) - 30)
        for port, other in self.made:
            if other is not relay:
                relay.sendto(packet, ("127.0.0.1", port))

    async def list(self, addresses: Sequence[str]) -> None:
        """Nothing to do: the nodes announce themselves."""

    async def misbehave(self, fault: Fault | None) -> None:
        self.fault = fault

    def close(self) -> None:
        for _, relay in self.made:
            self.loop.remove_reader(relay)
            relay.close()


class TestGossipFaults(FaultContract):
    """Whatever becomes of the network, nobody is disconnected."""

    @pytest.fixture
    async def source(self) -> AsyncIterator[Network]:
        network = Network()
        yield network
        network.close()

    def make(self, source: Network) -> DiscoveryStrategy:
        port = free_port()
        options = {"poll_interval_s": PERIOD_S, "heartbeat_s": 0.05, "forget_after_s": 0.3}
        made = quick(port, targets=(f"127.0.0.1:{source.join(port)}",), **options)
        choose = made._choose

        def with_faults(announced: Announcement) -> Any:
            medium = choose(announced)
            send = medium.send

            async def send_or_fail(outlet: socket.socket, make: Callable[[], bytes]) -> None:
                if source.fault == "error":
                    raise OSError(errno.ENETUNREACH, "Network is unreachable")
                await send(outlet, make)

            medium.send = send_or_fail  # type: ignore[method-assign]
            return medium

        made._choose = with_faults  # type: ignore[method-assign]
        return made


class Ear:
    """A strategy that hears what the test sends to it."""

    def __init__(self, strategy: GossipStrategy, port: int) -> None:
        self.strategy = strategy
        self.port = port
        self.mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sealer = Sealer(Secret(SECRET))

    def packet(self, message: Message, sealer: Sealer | None = None) -> bytes:
        return (sealer or self.sealer).seal(message, os.urandom(12))

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            self.mouth.sendto(packet, ("127.0.0.1", self.port))

    async def counted(self, **expected: int) -> None:
        """Wait for exactly these counts."""

        def same() -> bool:
            assert self.strategy.counters == expected
            return True

        await eventually(same)


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    port = free_port()
    strategy = quick(port, targets=("127.0.0.1:9",), max_clock_difference_s=60.0)
    await strategy.start(announcement("shop"))
    ear = Ear(strategy, port)
    yield ear
    ear.mouth.close()
    await strategy.stop()


def message_of(announced: Announcement, number: int = 1, started_ns: int = 5, sent_s: float | None = None) -> Message:
    return make_message(announced, loopback_id())(HERE, started_ns, number, time.time() if sent_s is None else sent_s)


async def test_altered_packets_are_ignored_and_counted(ear: Ear) -> None:
    """A packet in which any one bit differs is not taken, wherever the bit is."""
    good = ear.packet(message_of(announcement("shop")))
    altered = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in (0, 4, 5, 13, 25, len(good) - 1)]
    ear.send(*altered)
    await ear.counted(malformed=2, foreign=1, forged=3)
    assert await ear.strategy.lookup() == ()


async def test_repeated_packets_are_ignored_and_counted(ear: Ear) -> None:
    """A packet is taken once; one that comes late is taken, unless it is older than the window."""
    node = announcement("shop")
    packets = [ear.packet(message_of(node, number)) for number in (100, 99, 100, 99, 36, 37, 101, 101)]
    ear.send(*packets, packets[0])
    await ear.counted(accepted=4, replayed=5)


async def test_packets_of_an_earlier_life_are_ignored(ear: Ear) -> None:
    """Once a node has started anew, nothing that it sent before counts, neither does anything before its goodbye."""
    node = announcement("shop")
    goodbye = make_message(node, loopback_id())(1, 7, 2, message_of(node).sent_s)
    ear.send(*(ear.packet(message_of(node, started_ns=started)) for started in (5, 6, 5)))
    await ear.counted(accepted=2, replayed=1)
    ear.send(ear.packet(message_of(node, 3, 7)), ear.packet(goodbye), ear.packet(message_of(node, 1, 7)))
    await ear.counted(accepted=4, replayed=2)
    assert await ear.strategy.lookup() == ()


async def test_packets_of_long_ago_are_ignored_and_explained(ear: Ear) -> None:
    """A recorded packet is of no use a minute later, not even to a node that never heard its sender."""
    now_s = message_of(announcement()).sent_s
    for sent_s in (now_s - 70, now_s + 70, float("nan")):
        ear.send(ear.packet(message_of(announcement("shop"), sent_s=sent_s)))
    await ear.counted(untimely=3)
    with pytest.raises(DiscoveryError, match=r"s from the clock of this machine.*set the clocks of all machines"):
        await ear.strategy.lookup()


async def test_other_secrets_and_clusters_are_ignored_and_counted(ear: Ear) -> None:
    """Neither another secret nor another cluster with the same secret gets anybody in."""
    ear.send(ear.packet(message_of(announcement("shop")), Sealer(Secret("another"))))
    ear.send(ear.packet(message_of(announcement("bank"))))
    await ear.counted(foreign=1, other_cluster=1)
    assert await ear.strategy.lookup() == ()


async def test_junk_is_ignored_and_counted(ear: Ear) -> None:
    """Junk of any size, and sealed nonsense, changes nothing."""
    node = message_of(announcement("shop"))
    head = ear.packet(node)[:25]
    sealed = [ear.sealer._cipher.encrypt(head[13:25], text, head) for text in (b"", b"\xc1", b"\x93\x00\x01\x02")]
    ear.send(b"", b"x", b"x" * (MOST_BYTES + 1), b"x" * 60_000, b"x" * 100, *(head + text for text in sealed))
    await ear.counted(size=4, malformed=4)
    for addresses in ((), ("no port",), ("a:1",) * 3 + ("h:99999",)):
        ear.send(ear.packet(replace_message(node, addresses=addresses, node=f"n{len(addresses)}")))
    await ear.counted(size=4, malformed=4, unusable=3)
    assert await ear.strategy.lookup() == ()


def replace_message(message: Message, **changes: Any) -> Message:
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return Message(**(fields | changes))


async def test_a_flood_is_read_at_a_bounded_rate(ear: Ear) -> None:
    """However much arrives at once, the event loop reads a bounded part and goes on with its work."""
    loop = asyncio.get_running_loop()
    ear.send(*([b"x" * 100] * 100))
    begun = loop.time()
    await eventually(lambda: ear.strategy.counters.get("malformed", 0) == 100)
    assert loop.time() - begun > 0.015  # more than one turn, with a pause between
    good = announcement("shop")
    ear.send(ear.packet(message_of(good)))
    await until_seen(ear.strategy, lambda seen: peer_of(good) in seen, "a node after the flood")


async def test_hosts_by_unicast_find_each_other() -> None:
    """Where there is neither multicast nor broadcast, it is enough that one of two knows the other's address."""
    ports = free_port(), free_port()
    one, two = announcement("shop"), announcement("shop")
    first, second = quick(ports[0], targets=(f"localhost:{ports[1]}",)), quick(ports[1], targets=("127.0.0.1:9",))
    await first.start(one)
    await second.start(two)
    try:
        await until_seen(second, lambda seen: peer_of(one) in seen, "who sends")
    finally:
        await first.stop()
        await second.stop()


async def test_two_ways_to_a_node_are_no_replay(ear: Ear) -> None:
    """A packet that goes to one node by two ways counts as two."""
    strategy = quick(free_port(), targets=(f"127.0.0.1:{ear.port}", f"localhost:{ear.port}"))
    await strategy.start(announcement("shop"))
    try:
        await eventually(lambda: ear.strategy.counters.get("accepted", 0) >= 2)
        assert set(ear.strategy.counters) == {"accepted"}
    finally:
        await strategy.stop()


async def test_changed_cookie_is_used_at_once() -> None:
    """A running strategy that is told another cookie reads and writes with that, and with the old one no longer."""
    port = free_port()
    strategy = GossipStrategy(GossipOptions(port=port, targets=("127.0.0.1:9",)))
    strategy.use_cookie(Secret("old"))
    await strategy.start(announcement("shop"))
    ear = Ear(strategy, port)
    try:
        strategy.use_cookie(Secret(SECRET))
        node = announcement("shop")
        ear.send(ear.packet(message_of(announcement("shop")), Sealer(Secret("old"))), ear.packet(message_of(node)))
        await ear.counted(foreign=1, accepted=1)
        assert await strategy.lookup() == (peer_of(node),)
    finally:
        ear.mouth.close()
        await strategy.stop()


async def test_cookie_is_replaced_in_a_running_cluster() -> None:
    """While a cookie is replaced, packets under either are taken; what a node sends follows its first one."""
    old, new = Secret("old"), Secret("new")
    packet = message_of(announcement("shop"))
    between, after = Sealer(Secret("new\nold")), new
    assert between.open(Sealer(old).seal(packet, bytes(12))) == packet
    assert Sealer(after).open(between.seal(packet, bytes(12))) == packet
    assert Sealer(old).open(between.seal(packet, bytes(12))) is Junk.FOREIGN
    strategy = GossipStrategy(GossipOptions(port=free_port(), targets=("127.0.0.1:9",)))
    node = foundation.start_cluster(cluster=strategy, cookie="old", transport="memory", handle_signals=False)
    async with node as cluster:
        assert strategy._secret == old
        await cluster.credentials.renew("new\nold")
        assert strategy._sealer.open(Sealer(new).seal(packet, bytes(12))) == packet


async def test_silent_nodes_are_forgotten() -> None:
    """Who was killed is not found for ever; who is heard again is."""
    strategy = quick(free_port(), targets=("127.0.0.1:9",), heartbeat_s=0.02, forget_after_s=0.1)
    await strategy.start(announcement("shop"))
    other = Ear(strategy, strategy._options.port)
    node = announcement("shop")
    try:
        other.send(other.packet(message_of(node, 1)))
        await until_seen(strategy, lambda seen: peer_of(node) in seen, "the node")
        await until_seen(strategy, lambda seen: not seen, "nobody")
        other.send(other.packet(message_of(node, 2)))
        await until_seen(strategy, lambda seen: peer_of(node) in seen, "the node again")
    finally:
        other.mouth.close()
        await strategy.stop()


def test_many_addresses_fit_into_a_packet() -> None:
    """A node with more addresses than a packet has room for announces the first of them."""
    many = announcement("ü" * 300, *(f"a-rather-long-name-of-a-host-{n}.example:7001" for n in range(64)))
    packet = Sealer(Secret(SECRET)).seal(make_message(many, loopback_id())(HERE, 1 << 62, 1 << 62, 1e9), bytes(12))
    message = Sealer(Secret(SECRET)).open(packet)
    assert isinstance(message, Message)
    assert len(packet) <= MOST_BYTES
    assert 10 < len(message.addresses) < 64
    assert message.addresses == many.addresses[: len(message.addresses)]


def test_loopback_of_another_machine_is_not_dialed() -> None:
    """An address on loopback counts only where both share the loopback interface."""
    node = announcement("shop", "127.0.0.1:7001", "192.0.2.7:7001")
    message = message_of(node)
    assert read_message(message, loopback_id()) == peer_of(node)
    assert read_message(message, "elsewhere") == Peer(("192.0.2.7:7001",), node.node, node.name)


async def test_cookie_is_the_secret_where_none_is_set() -> None:
    """Without an option the cluster's cookie encrypts; an own secret wins; with neither the start is refused."""
    port = free_port()
    strategy = GossipStrategy(GossipOptions(port=port, targets=("127.0.0.1:9",)))
    with pytest.raises(ConfigurationError, match="set its option 'secret', or FOUNDATION_COOKIE"):
        await strategy.start(announcement())
    strategy.use_cookie(Secret(SECRET))
    own = GossipStrategy(GossipOptions(secret="own"))
    own.use_cookie(Secret(SECRET))
    assert (strategy._secret, own._secret) == (Secret(SECRET), Secret("own"))
    assert "own" not in repr(GossipOptions(secret="own"))


async def test_taken_port_is_a_clear_error() -> None:
    """A port of unicast that somebody has is named, and nothing stays open."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        strategy = quick(port, targets=("127.0.0.1:9",))
        with pytest.raises(DiscoveryError, match=f"gossip by targets on port {port} cannot be used: Address already"):
            await strategy.start(announcement())
        await strategy.stop()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"port": 0}, "port 0: take one from 1 to 65535"),
        ({"multicast_addr": "192.0.2.1"}, "'192.0.2.1': no group of multicast"),
        ({"multicast_ttl": 256}, "multicast_ttl 256: take 0 to 255"),
        ({"broadcast_only": True, "targets": ["h"]}, "exclude each other"),
        ({"heartbeat_s": 0}, "heartbeat_s must be more than 0"),
        ({"forget_after_s": 3}, "more than 1.5 heartbeat_s"),
        ({"secret": ""}, "secret must not be empty"),
        ({"mulitcast_ttl": 1}, "has no option 'mulitcast_ttl'"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], why: str) -> None:
    """What cannot work is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=why):
        make_strategy("gossip", options)


async def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cryptography the error says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(MissingExtraError, match=r'pip install "foundation\[gossip\]"'):
        await quick(free_port()).start(announcement())


ISOLATED = """
import asyncio
from tests.discovery.announcing import announcement, peer_of, until_seen
from foundation.discovery.strategies.gossip import GossipOptions, GossipStrategy

async def main():
    options = GossipOptions(secret="s", multicast_addr="ff02::4644:4e", multicast_if=("v0",), heartbeat_s=0.2)
    one, two = announcement("c", "[::1]:1"), announcement("c", "[::1]:2")
    first, second = GossipStrategy(options), GossipStrategy(options)
    await first.start(one)
    await second.start(two)
    await until_seen(first, lambda seen: peer_of(two) in seen, "the second")
    await until_seen(second, lambda seen: peer_of(one) in seen, "the first")
    await second.stop()
    await until_seen(first, lambda seen: not seen, "nobody")
    await first.stop()
    print("found")

asyncio.run(main())
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("unshare") or not shutil.which("ip"),
    reason="needs unshare and ip of Linux",
)
def test_groups_of_ipv6() -> None:
    """Nodes find each other through a group of IPv6, in a network namespace with an interface for that."""
    prepare = (
        "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 addrgenmode none up &&"
        " ip link set v1 up && ip -6 address add fe80::1/64 dev v0 nodad && exec"
    )
    isolated = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", f'{prepare} "$@"', "sh"]
    ended = subprocess.run(
        [*isolated, sys.executable, "-c", ISOLATED], capture_output=True, text=True, timeout=20, check=False
    )
    if "unshare failed" in ended.stderr or "Operation not permitted" in ended.stderr or "RTNETLINK" in ended.stderr:
        pytest.skip(f"no network namespaces here: {ended.stderr.strip()}")
    assert (ended.stdout, ended.stderr) == ("found\n", "")


@pytest.mark.usefixtures("multicast")
async def test_ttl_and_loop_reach_the_socket() -> None:
    """The time to live and the loop are what the options say."""
    strategy = quick(free_port(), multicast_ttl=3, multicast_loop=False, multicast_if=("127.0.0.1",))
    await strategy.start(replace(announcement(), addresses=("192.0.2.1:7",)))
    try:
        opened: Any = strategy._socket
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 3
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
    finally:
        await strategy.stop()


@pytest.mark.usefixtures("multicast")
async def test_cluster_gives_its_cookie_to_the_strategy() -> None:
    """Two nodes with the same cookie become members of one cluster without another word about secrets."""
    port = free_port()

    def start(name: str) -> ClusterStart:
        strategy = GossipStrategy(GossipOptions(port=port, heartbeat_s=0.2))
        return foundation.start_cluster(
            name=name, cluster=strategy, cookie="tests", transport="memory", handle_signals=False
        )

    async with start("a") as one, start("b") as two:
        await eventually(lambda: len(one.members()) == len(two.members()) == 2)
