"""The multicast strategy: the contract over real multicast on loopback, and what its records may say."""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from foundation.discovery.loopback import is_loopback, loopback_id
from foundation.discovery.peers import Peer
from foundation.discovery.strategies.mdns import (
    GROUP,
    LOOPBACK,
    MdnsOptions,
    MdnsStrategy,
    describe_service,
    fitting,
    read_service,
)
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import DiscoveryError
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.discovery.contract import Start, StrategyContract

PORT = 5353


def why_no_multicast() -> str:
    """Send a datagram to the group over loopback and say why it did not arrive, or nothing."""
    try:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth,
        ):
            ear.bind(("", 0))
            ear.settimeout(2.0)
            ear.setsockopt(
                socket.IPPROTO_IP,
                socket.IP_ADD_MEMBERSHIP,
                struct.pack("4s4s", *map(socket.inet_aton, (GROUP, LOOPBACK))),
            )
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            mouth.sendto(b"test", (GROUP, ear.getsockname()[1]))
            ear.recv(16)
    except OSError as error:
        return f"multicast over loopback is not available here: {error}"
    return ""


@pytest.fixture(scope="module")
def multicast() -> None:
    """Skip, saying why, where multicast over loopback does not work."""
    if why := why_no_multicast():
        pytest.skip(why)


@pytest.mark.usefixtures("multicast")
class TestMdnsContract(StrategyContract):
    """The multicast strategy keeps the contract."""

    @pytest.fixture
    def make(self) -> Callable[[], DiscoveryStrategy]:
        return lambda: MdnsStrategy(MdnsOptions(interfaces=(LOOPBACK,), first_wait_s=0.05))

    async def spoil(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            for garbage in (b"", b"\x00", b"\xff" * 100, b"\x00\x00\x84\x00" + b"\xff" * 500):
                mouth.sendto(garbage, (GROUP, PORT))

    async def test_wakes_when_somebody_comes(self, start: Start) -> None:
        """A waiting node is told of a newcomer; it need not poll for it."""
        one = announcement()
        first = await start(one)
        await first.lookup()
        async with asyncio.timeout(10):
            await start(announcement(one.cluster))
            while not await first.lookup():
                await first.wait_changed()

    async def test_first_lookup_waits_for_answers(self, start: Start) -> None:
        """Somebody who is there already is in the first result, without a second lookup."""
        one = announcement()
        await start(one)
        newcomer = MdnsStrategy(MdnsOptions(interfaces=(LOOPBACK,), first_wait_s=10.0))
        await newcomer.start(announcement(one.cluster))
        try:
            assert set(await newcomer.lookup()) == {peer_of(one)}
        finally:
            await newcomer.stop()

    async def test_record_without_text_is_asked_for(self, start: Start) -> None:
        """A service of which only the name was heard is asked for the rest."""
        one = announcement()
        await start(one)
        newcomer = MdnsStrategy(MdnsOptions(interfaces=(LOOPBACK,), first_wait_s=0.05))
        await newcomer.start(announcement(one.cluster))
        try:
            await until_seen(newcomer, lambda seen: peer_of(one) in seen, "the node")
            name = f"{one.node}._foundation._tcp.local."
            newcomer._peers.clear()
            newcomer._unanswered[name] = None
            await until_seen(newcomer, lambda seen: peer_of(one) in seen, "the node, asked for again")
        finally:
            await newcomer.stop()


@pytest.mark.usefixtures("multicast")
async def test_stop_takes_less_than_a_second() -> None:
    """The goodbye does not delay the end of a node, not even right after its start."""
    strategy = MdnsStrategy(MdnsOptions(interfaces=(LOOPBACK,)))
    await strategy.start(announcement())
    async with asyncio.timeout(1.0):
        await strategy.stop()


async def test_unusable_interface_is_a_clear_error() -> None:
    """An interface that this machine does not have is reported, and nothing stays open."""
    strategy = MdnsStrategy(MdnsOptions(interfaces=("203.0.113.77",)))
    with pytest.raises(
        DiscoveryError, match=r"multicast DNS cannot be used: 203\.0\.113\.77 cannot join 224\.0\.0\.251: "
    ):
        await strategy.start(announcement())
    await strategy.stop()


ISOLATED = """
import asyncio
from foundation.core.sources import new_node_id
from foundation.discovery.peers import Announcement
from foundation.discovery.discovery import Discovery
from foundation.discovery.strategies.mdns import MdnsStrategy
import logging
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

async def main():
    me = Announcement(new_node_id(), "n", "c", "1", ("192.0.2.1:1",))
    async with Discovery({"mdns": MdnsStrategy()}, me, lambda name, peers: None) as discovery:
        assert await discovery.first_round(10)
        print(discovery.status()["mdns"].healthy)

asyncio.run(main())
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("unshare"), reason="needs unshare of Linux"
)
def test_machine_without_a_network_gets_one_line() -> None:
    """In a network namespace without any usable interface: one line that names the cause, no traceback, no hang."""
    isolated = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", ISOLATED]
    ended = subprocess.run(isolated, capture_output=True, text=True, timeout=20, check=False)
    if "unshare failed" in ended.stderr or "Operation not permitted" in ended.stderr:
        pytest.skip(f"no network namespaces here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "False\n"
    (line,) = ended.stderr.splitlines()
    assert line.startswith("WARNING discovery mdns: the start failed (multicast DNS cannot be used: ")


def test_records_carry_the_announcement() -> None:
    """What one node puts into its records, another of the cluster reads from them."""
    one = announcement("shop", "192.0.2.7:7001", "[2001:db8::1]:7002", "node.example:7003")
    two = announcement("shop")
    service = describe_service(one, "same", 1125)
    assert read_service(service.properties, two, "same") == peer_of(one)
    assert read_service(service.properties, announcement("bank"), "same") is None
    assert read_service(service.properties, one, "same") is None


def test_loopback_of_another_machine_is_not_dialed() -> None:
    """An address on loopback counts only where both share the loopback interface."""
    one = announcement("shop", "127.0.0.1:7001", "192.0.2.7:7001", "localhost:1", "[::1]:7001")
    two = announcement("shop")
    service = describe_service(one, "there", 1125)
    assert read_service(service.properties, two, "here") == Peer(("192.0.2.7:7001",), one.node, one.name)
    only = describe_service(replace(one, addresses=("127.0.0.1:7001",)), "there", 1125)
    assert read_service(only.properties, two, "here") is None


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {b"cluster": None},
        {b"cluster": b"shop"},
        {b"cluster": b"shop", b"node": b"n"},
        {b"cluster": b"shop", b"node": b"n", b"a0": None},
        {b"cluster": b"shop", b"node": b"n", b"a0": b"no port"},
        {b"cluster": b"shop", b"node": b"\xff", b"a0": b"h:1"},
        {b"cluster": b"shop", b"node": b"n", b"a0": b"h:1", b"a1": b"h:99999"},
    ],
)
def test_nonsense_in_records_is_no_peer(properties: dict[bytes, bytes | None]) -> None:
    """A record that is not an announcement is left out."""
    assert read_service(properties, announcement("shop"), "here") is None


def test_long_names_fit_into_a_record() -> None:
    """A cluster name longer than a record has room for still tells clusters apart."""
    one, other = announcement("ü" * 300), announcement("ü" * 301)
    service = describe_service(one, "same", 1125)
    assert read_service(service.properties, announcement(one.cluster), "same") == peer_of(one)
    assert read_service(service.properties, other, "same") is None
    assert fitting("short") == "short"


def test_loopback_is_recognized() -> None:
    """Addresses that only their own machine can reach are told from others."""
    assert all(map(is_loopback, ("127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1", "a.localhost:1")))
    assert not any(map(is_loopback, ("192.0.2.1:1", "0.0.0.0:1", "[fe80::1]:1", "localhost.example:1")))
    assert loopback_id() == loopback_id()
