"""The DNS strategy: against a real name server, and against one that fails in every way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import pytest

import foundation
from foundation.discovery import DiscoveryStrategy, Peer, make_strategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.announcing import announcement
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.services.dns import LOOPBACK, ZONE, Front, Mode, NameServer, free_port, front, name_server
from tests.waiting import eventually

NODES = f"nodes.{ZONE}"
SERVICE = f"_foundation._tcp.{ZONE}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NameServer]:
    async with name_server(tmp_path) as running:
        yield running


async def look(port: int, **options: Any) -> set[Peer]:
    """Look up once, as a node at port 7001."""
    strategy = make_strategy("dns", {"nameservers": (LOOPBACK,), "nameserver_port": port, **options})
    await strategy.start(announcement("shop", "192.0.2.1:7001"))
    try:
        return set(await strategy.lookup())
    finally:
        await strategy.stop()


def at(*addresses: str) -> set[Peer]:
    return {Peer((address,)) for address in addresses}


MODES: dict[Fault, Mode] = {"error": "servfail", "hang": "hang", "half": "cut short", "garbage": "garbage"}


class FailingDns:
    """A real server that can be reached through a front that misbehaves."""

    def __init__(self, server: NameServer, front: Front, name: str = SERVICE) -> None:
        self.server = server
        self.front = front
        self._name = name
        self._listed: Sequence[str] = ()

    async def list(self, addresses: Sequence[str]) -> None:
        self._listed = addresses
        await self.serve(addresses)

    async def serve(self, addresses: Sequence[str]) -> None:
        await self.server.serve(self._name, addresses)

    async def misbehave(self, fault: Fault | None) -> None:
        match fault:
            case "empty":
                await self.serve([])
            case None:
                self.front.mode = "pass"
                await self.serve(self._listed)
            case _:
                self.front.mode = MODES[fault]


def asking(source: FailingDns) -> dict[str, Any]:
    """Return the options for asking the front of that server, every period."""
    return {
        "nameservers": (LOOPBACK,),
        "nameserver_port": source.front.port,
        "poll_interval_s": PERIOD_S,
    }


class TestFaults(FaultContract):
    """Whatever becomes of the name server, nobody is disconnected."""

    @pytest.fixture
    async def source(self, server: NameServer) -> AsyncIterator[FailingDns]:
        async with front(server.port) as before:
            yield FailingDns(server, before)

    def make(self, source: FailingDns) -> DiscoveryStrategy:
        return make_strategy("dns", {"query": SERVICE, "resource_types": ("SRV",), **asking(source)})


class FailingAddresses(FailingDns):
    """The same with the addresses of hosts alone, which do not tell a port."""

    async def serve(self, addresses: Sequence[str]) -> None:
        await self.server.set(self._name, "A", *(address.rpartition(":")[0] for address in addresses))


class AddressFaults(FaultContract):
    """What holds for strategies that find hosts: the nodes have a port in common, each on an address of its own."""

    name: str

    @pytest.fixture
    async def source(self, server: NameServer) -> AsyncIterator[FailingAddresses]:
        self.port = free_port()
        async with front(server.port) as before:
            yield FailingAddresses(server, before, self.name)

    def listening(self, number: int) -> dict[str, Any]:
        return {"host": f"127.0.0.{number + 2}", "port": self.port}


class TestAddressFaults(AddressFaults):
    """Of the hosts of a name."""

    name = NODES

    def make(self, source: FailingAddresses) -> DiscoveryStrategy:
        return make_strategy("dns", {"query": NODES, **asking(source)})


async def test_addresses_of_several_names(server: NameServer) -> None:
    """A and AAAA records of all names are found, with the port that was set."""
    await server.set(NODES, "A", "192.0.2.1", "192.0.2.2")
    await server.set(NODES, "AAAA", "2001:db8::1")
    await server.set(f"more.{ZONE}", "A", "192.0.2.3")
    seen = await look(server.port, query=(NODES, f"more.{ZONE}"), default_port=4711)
    assert seen == at("192.0.2.1:4711", "192.0.2.2:4711", "192.0.2.3:4711", "[2001:db8::1]:4711")


async def test_only_the_types_asked_for(server: NameServer) -> None:
    """With one type, the records of another are not found; without a port, this node's is taken."""
    await server.set(NODES, "A", "192.0.2.1")
    await server.set(NODES, "AAAA", "2001:db8::1")
    assert await look(server.port, query=NODES, resource_types=("AAAA",)) == at("[2001:db8::1]:7001")


async def test_services_name_hosts_and_ports(server: NameServer) -> None:
    """SRV records give a peer per host, with its ports in order; a host without addresses stays a name."""
    await server.set(f"a.{ZONE}", "A", "192.0.2.1")
    await server.set(f"a.{ZONE}", "AAAA", "2001:db8::1")
    await server.set(
        SERVICE, "SRV", f"20 0 7002 a.{ZONE}", f"10 0 7001 a.{ZONE}", f"0 0 7003 b.{ZONE}", f"0 0 0 c.{ZONE}"
    )
    seen = await look(server.port, query=SERVICE, resource_types=("SRV",))
    addresses = ("192.0.2.1:7001", "[2001:db8::1]:7001", "192.0.2.1:7002", "[2001:db8::1]:7002")
    assert seen == {Peer(addresses), Peer(("b.test:7003",))}
    names = await look(server.port, query=SERVICE, resource_types=("SRV",), srv_targets="names")
    assert names == {Peer(("a.test:7001", "a.test:7002")), Peer(("b.test:7003",))}


async def test_hosts_that_cannot_be_are_left_out(server: NameServer) -> None:
    """Names in DNS may have any letters; those that no host can have hide no good ones."""
    await server.set(SERVICE, "SRV", *(f"0 0 7003 {host}.{ZONE}" for host in ("a:b", "a/b", r"a\032b", "good")))
    for targets in ("addresses", "names"):
        seen = await look(server.port, query=SERVICE, resource_types=("SRV",), srv_targets=targets)
        assert Peer(("good.test:7003",)) in seen
        assert not any(letter in peer.addresses[0].removesuffix(":7003") for peer in seen for letter in ":/ ")


async def test_service_that_is_not_offered(server: NameServer) -> None:
    """An SRV record whose target is the root says that there is none; that is an answer."""
    await server.set(SERVICE, "SRV", "0 0 0 .")
    assert await look(server.port, query=SERVICE, resource_types=("SRV",)) == set()


async def test_aliases_are_followed(server: NameServer) -> None:
    """The records at the end of a CNAME are found."""
    await server.set(NODES, "CNAME", f"real.{ZONE}")
    await server.set(f"real.{ZONE}", "A", "192.0.2.1")
    assert await look(server.port, query=NODES) == at("192.0.2.1:7001")


async def test_answer_too_long_for_udp_is_taken_over_tcp(server: NameServer) -> None:
    """A cluster of 300 nodes does not fit into a datagram; all are found, not those that fit."""
    addresses = [f"198.51.{number // 250}.{number % 250 + 1}" for number in range(300)]
    await server.set(NODES, "A", *addresses)
    datagram = await asyncio.to_thread(
        dns.query.udp, dns.message.make_query(NODES, "A", payload=1232), LOOPBACK, 5.0, server.port
    )
    assert datagram.flags & dns.flags.TC, "the answer was to be too long"
    assert await look(server.port, query=NODES) == at(*(f"{address}:7001" for address in addresses))


async def test_name_without_records_is_nobody(server: NameServer) -> None:
    """A name that exists, without records of that type, is an empty answer and no failure."""
    await server.set(NODES, "TXT", "hello")
    assert await look(server.port, query=NODES) == set()


async def test_unknown_name_says_so(server: NameServer) -> None:
    """A name that does not exist is most likely a mistake, and named; beside one that does, it hides nothing."""
    with pytest.raises(DiscoveryError, match=r"DNS knows no name 'nobody\.test\.'; check its spelling"):
        await look(server.port, query=f"nobody.{ZONE}")
    await server.set(NODES, "A", "192.0.2.1")
    assert await look(server.port, query=(f"nobody.{ZONE}", NODES)) == at("192.0.2.1:7001")


@pytest.mark.parametrize(
    ("mode", "words"), [("servfail", "SERVFAIL"), ("hang", "timed out"), ("garbage", "timed out"), ("cut short", "")]
)
async def test_failure_is_an_error_within_the_time(mode: Any, words: str) -> None:
    """A server that fails gives an error that names the question and what it did; never an empty answer."""
    async with front() as failing, asyncio.timeout(2):
        failing.mode = mode
        with pytest.raises(DiscoveryError, match=f"DNS cannot tell the A records of 'nodes.test.': .*{words}"):
            await look(failing.port, query=NODES, resource_types=("A",), timeout_s=0.3)
        assert failing.asked


async def test_nobody_listens() -> None:
    """A port without a server is an error, at once or after the time limit."""
    with pytest.raises(DiscoveryError, match="DNS cannot tell"):
        await look(free_port(), query=NODES, resource_types=("A",), timeout_s=0.3)


async def test_half_an_outage_hides_nothing(server: NameServer) -> None:
    """One of two servers that is silent costs time, not answers."""
    await server.set(NODES, "A", "192.0.2.1")
    silent = {"nameservers": ("127.0.0.7", LOOPBACK), "timeout_s": 2.0, "resource_types": ("A",)}
    assert await look(server.port, query=NODES, **silent) == at("192.0.2.1:7001")


async def test_lookup_after_stop_finds_nobody() -> None:
    """A strategy that is stopped, or was never started, asks nobody."""
    strategy = make_strategy("dns", {"query": NODES})
    assert set(await strategy.lookup()) == set()
    await strategy.start(announcement())
    await strategy.stop()
    await strategy.stop()
    assert set(await strategy.lookup()) == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "set the option 'query'"),
        ({"query": ""}, "the name is empty"),
        ({"query": "a..b"}, r"DNS cannot be asked for 'a\.\.b'"),
        ({"query": "x" * 64}, "DNS cannot be asked for"),
        ({"query": "a", "resource_types": ("MX",)}, "an option of the discovery strategy 'dns' cannot be used"),
        ({"query": "a", "default_port": 0}, "'default_port' must be a port from 1 to 65535, not 0"),
        ({"query": "a", "nameserver_port": 70000}, "'nameserver_port' must be a port"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    """What cannot be asked is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=words):
        make_strategy("dns", options)


async def test_server_must_be_an_address() -> None:
    """The name of a server could not be looked up without a server."""
    with pytest.raises(ConfigurationError, match="the option 'nameservers' must be IP addresses: "):
        await look(53, query=NODES, nameservers=("dns.test",))


def test_without_the_library() -> None:
    """Without dnspython, the error names the line that installs it."""
    program = """
import sys
sys.modules["dns"] = None
from foundation.discovery import make_strategy
from foundation.errors import MissingExtraError
for name in ("dns", "kubernetes_dns", "kubernetes_dns_srv"):
    try:
        make_strategy(name, {"query": "x"} if name == "dns" else {})
    except MissingExtraError as error:
        print(error)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    lines = printed.stdout.splitlines()
    assert len(lines) == 3, printed
    assert lines[0].endswith('needs dnspython, which is not installed: pip install "foundation[dns]"')
    assert lines[1].endswith('needs dnspython, which is not installed: pip install "foundation[kubernetes]"')


async def test_two_nodes_find_each_other_by_address(server: NameServer) -> None:
    """Two nodes with the same port on two addresses find each other through A records."""
    await server.set(NODES, "A", "127.0.0.1", "127.0.0.2")
    port = free_port()
    options = {"query": NODES, "nameservers": (LOOPBACK,), "nameserver_port": server.port}

    def start(host: str) -> Any:
        strategy = make_strategy("dns", options)
        return foundation.start_cluster(
            cluster=strategy, cookie="tests", host=host, port=port, transport="memory", handle_signals=False
        )

    async with start("127.0.0.1") as one, start("127.0.0.2") as two:
        await eventually(lambda: len(one.members()) == len(two.members()) == 2)
