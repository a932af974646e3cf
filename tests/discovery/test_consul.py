"""The strategy `consul`: the contracts against a double of the HTTP API, and against a real Consul where there is one.

The double differs from Consul in what `tests/services/consul_double.py` says; what depends on that is tested with the
real one alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from foundation.discovery.http_service import Answer
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategies.consul import MOST_VALUE, ConsulOptions, ConsulStrategy, describe_service
from foundation.discovery.strategies.consul import read_services as read
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.discovery.contract import Start, StrategyContract
from tests.discovery.dying import check_death
from tests.discovery.faults import PERIOD_S, FaultContract
from tests.services.consul import ConsulServer, consul_double, consul_server
from tests.services.proxy import Proxy
from tests.services.source import ProxiedSource


@pytest.fixture(scope="module", params=["double", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[ConsulServer]:
    with consul_double() if request.param == "double" else consul_server() as made:
        yield made


@pytest.fixture(scope="module")
def real() -> Iterator[ConsulServer]:
    with consul_server() as made:
        yield made


class TestConsulContract(StrategyContract):
    """Nodes that meet in Consul."""

    @pytest.fixture
    def make(self, server: ConsulServer) -> Callable[[], DiscoveryStrategy]:
        self.server = server
        return lambda: ConsulStrategy(ConsulOptions(url=server.url))

    async def spoil(self) -> None:
        good = {"foundation-cluster": self.cluster, "foundation-node": "x"}
        spoilt: list[dict[str, str]] = [
            good | {"foundation-addresses": "no port"},
            good | {"foundation-addresses": "127.0.0.1:99999"},
            {"foundation-cluster": self.cluster},  # and no port
            {"foundation-cluster": "another", "foundation-addresses": "127.0.0.1:1"},
        ]
        async with httpx.AsyncClient(trust_env=False) as client:
            for number, meta in enumerate(spoilt):
                check = {"TTL": "60s", "Status": "passing", "CheckID": f"spoilt{number}"}
                what = {"ID": f"spoilt{number}", "Name": "foundation", "Meta": meta, "Check": check}
                url = f"{self.server.url}/v1/agent/service/register"
                (await client.put(url, json=what)).raise_for_status()

    async def test_wakes_when_somebody_comes_or_goes(self, start: Start) -> None:
        """A blocking query ends when a service came or went after the lookup."""
        one = announcement()
        first = await start(one)
        await first.lookup()
        two = announcement(one.cluster)
        second = await start(two)
        async with asyncio.timeout(5):
            await first.wait_changed()
            await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
            waiting = asyncio.ensure_future(first.wait_changed())
            await second.stop()
            await waiting
        await until_seen(first, lambda seen: not seen, "nobody")

    async def test_a_lost_service_is_registered_again(self, start: Start) -> None:
        """A node that an agent has forgotten is there again after its next lookup."""
        one = announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.put(f"{self.server.url}/v1/agent/service/deregister/foundation-{two.node}")
        await until_seen(first, lambda seen: not seen, "nobody")
        await second.lookup()
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node again")

    @pytest.mark.parametrize("using", ["catalog", "agent", "health"])
    async def test_lists_in_three_ways(self, server: ConsulServer, start: Start, using: Any) -> None:
        """The catalog, the agent and the health of a service tell of the other node, with all addresses."""
        one, two = announcement(), announcement(None, "127.0.0.1:7001", "[::1]:7002")
        two = Announcement(two.node, two.name, one.cluster, two.version, two.addresses)
        await start(two)
        datacenters = () if using == "agent" else ("all",)
        strategy = ConsulStrategy(
            ConsulOptions(url=server.url, list_using=using, datacenters=datacenters, register=False)
        )
        await strategy.start(one)
        seen = await until_seen(strategy, lambda seen: peer_of(two) in seen, "the second node")
        assert seen == {peer_of(two)}
        await strategy.stop()

    async def test_a_datacenter_that_is_not_there_hides_no_other(self, server: ConsulServer, start: Start) -> None:
        """The nodes of the datacenters that answer are found; when none answers, that is an error."""
        one = announcement()
        two = announcement(one.cluster)
        await start(two)
        options = ConsulOptions(url=server.url, datacenters=("nowhere", "dc1"), register=False)
        strategy = ConsulStrategy(options)
        await strategy.start(one)
        await until_seen(strategy, lambda seen: peer_of(two) in seen, "the second node")
        await strategy.stop()
        strategy = ConsulStrategy(ConsulOptions(url=server.url, datacenters=("nowhere",), register=False))
        await strategy.start(one)
        with pytest.raises(DiscoveryError, match="No path to datacenter"):
            await strategy.lookup()
        await strategy.stop()

    async def test_dies_with_its_check(self, server: ConsulServer) -> None:
        """A node that is killed is gone after its time to live, the others stay."""
        options = ConsulOptions(url=server.url, ttl_s=0.6, poll_interval_s=0.1)
        await check_death(lambda: ConsulStrategy(options), 0.6, late_s=2.0)


def nobody(request: bytes) -> bytes | None:
    """Answer that the service has no instances, and let everything else through."""
    if b"GET /v1/health/service/" not in request:
        return None
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Consul-Index: 7\r\nContent-Length: 2\r\n\r\n[]"


class TestConsulFaults(FaultContract):
    """A Consul that hangs, is killed and forgets everything, or stands behind a bad line."""

    @pytest.fixture
    async def source(self, server: ConsulServer) -> AsyncIterator[ProxiedSource]:
        async with Proxy(server.port) as proxy:
            yield ProxiedSource(server.server, proxy, nobody)

    def make(self, source: ProxiedSource) -> DiscoveryStrategy:
        return ConsulStrategy(ConsulOptions(url=f"http://127.0.0.1:{source.port}", poll_interval_s=PERIOD_S))


async def test_a_filter_and_tags(real: ConsulServer) -> None:
    """Only services that fulfill the expression are found, whatever is asked."""
    one = announcement()
    two, three = announcement(one.cluster), announcement(one.cluster)
    tagged = ConsulStrategy(ConsulOptions(url=real.url, tags=("blue",), meta={"zone": "a"}))
    plain = ConsulStrategy(ConsulOptions(url=real.url))
    await tagged.start(two)
    await plain.start(three)
    filters = {
        "health": 'Service.Tags contains "blue" and Service.Meta.zone == "a"',
        "catalog": "blue in ServiceTags",
        "agent": "blue in Tags or Port == 1",
    }
    for using, expression in filters.items():
        options: Any = {"list_using": using, "filter": expression}
        looking = ConsulStrategy(ConsulOptions(url=real.url, register=False, **options))
        await looking.start(one)
        assert await until_seen(looking, bool, "the tagged node") == {peer_of(two)}
        await looking.stop()
    await plain.stop()
    await tagged.stop()


@pytest.mark.parametrize("kind", [consul_double, consul_server], ids=["double", "real"])
async def test_a_token_lets_in(kind: Any) -> None:
    """With the token nodes find each other; without, the error gives the policy that helps, and no token."""
    token = "4b1d0c3e-0000-4000-8000-00000000c0de"
    with kind(token) as server:
        strategy = ConsulStrategy(ConsulOptions(url=server.url, token="4b1d0c3e-0000-4000-8000-0000hush"))
        with pytest.raises(DiscoveryError, match=r'service "foundation" \{ policy = "write" \}') as caught:
            await strategy.start(announcement())
        assert "hush" not in str(caught.value)
        one = announcement()
        two = announcement(one.cluster)
        first, second = (ConsulStrategy(ConsulOptions(url=server.url, token=token)) for _ in range(2))
        await first.start(one)
        await second.start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        for each in (strategy, first, second):
            await each.stop()


def test_services_of_others_are_read_too() -> None:
    """A service that something else registered is a peer by its address, or that of its node; nonsense is left out."""
    body = b"""[
        {"Node": {"Address": "192.0.2.1"}, "Service": {"Address": "", "Port": 7001}},
        {"Node": {"Address": "192.0.2.1"}, "Service": {"Address": "2001:db8::1", "Port": 7002, "Meta": null}},
        {"Node": {"Address": "192.0.2.1"}, "Service": {"Address": "192.0.2.3", "Port": "x"}},
        {"Node": {"Address": "192.0.2.1"}, "Service": {"Address": "192.0.2.3", "Port": 0}},
        {"Node": null}, 7, null, "x"
    ]"""
    found = set(read(Answer(body), "health", announcement()))
    assert found == {Peer(("192.0.2.1:7001",)), Peer(("[2001:db8::1]:7002",))}


def test_long_values_fit() -> None:
    """No value of the metadata is longer than Consul allows, however much there is to say."""
    addresses = tuple(f"host-{number}.example.org:{7000 + number}" for number in range(60))
    long = Announcement(announcement().node, "n" * 600, "c" * 600, "v" * 600, addresses)
    meta = describe_service(long, ConsulOptions(), "x")["Meta"]
    assert max(map(len, meta.values())) <= MOST_VALUE
    assert meta["foundation-addresses"].startswith("host-0.example.org:7000 host-1.example.org:7001")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "127.0.0.1:8500"}, "is written http://host:port"),
        ({"ttl_s": 5.0}, "at least twice as long"),
        ({"service": 'a" or "b'}, "a name without quotes"),
        ({"deregister_after_s": 10.0}, "must be 60 at least"),
        ({"list_using": "agent", "datacenters": ("all",)}, "knows one datacenter only"),
        ({"private_key": "key.pem"}, "certificate and private_key"),
        ({"meta": {"foundation-node": "x"}}, "begin with foundation-"),
        ({"authority": "/nowhere.pem", "url": "https://127.0.0.1"}, "/nowhere.pem"),
    ],
)
async def test_wrong_options_are_refused(wrong: Any, says: str) -> None:
    """An option that cannot work is an error before anything is asked."""
    with pytest.raises(ConfigurationError, match=says):
        await ConsulStrategy(ConsulOptions(**wrong)).start(announcement())  # the files are read here


def test_the_token_is_not_shown() -> None:
    """The options can be logged."""
    assert "hush" not in repr(ConsulOptions(token="hush"))
