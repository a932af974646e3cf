"""The strategies for headless services, against a real name server with the names of Kubernetes in it.

The records are those that the specification of DNS in Kubernetes gives for a headless service. The difference to a
cluster: a test writes them, where CoreDNS makes them from the pods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from foundation.discovery import DiscoveryStrategy, Peer, make_strategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.announcing import announcement
from tests.discovery.faults import PERIOD_S, FaultContract
from tests.discovery.test_dns import AddressFaults, FailingDns, asking
from tests.services.dns import LOOPBACK, NameServer, front, name_server

SERVICE = "web.shop.svc.cluster.test."
PORT = f"_foundation._tcp.{SERVICE}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NameServer]:
    async with name_server(tmp_path) as running:
        yield running


@pytest.fixture
def account(tmp_path: Path) -> str:
    """Return a folder like that of a service account."""
    (tmp_path / "namespace").write_text("shop\n")
    return str(tmp_path)


async def look(name: str, server: NameServer, **options: Any) -> set[Peer]:
    """Look up once, as a node at port 7001."""
    strategy = make(name, server.port, **options)
    await strategy.start(announcement("shop", "192.0.2.1:7001"))
    try:
        return set(await strategy.lookup())
    finally:
        await strategy.stop()


def make(name: str, server_port: int, **options: Any) -> DiscoveryStrategy:
    service = {"service": "web", "nameservers": (LOOPBACK,), "nameserver_port": server_port}
    return make_strategy(name, service | options)


class TestFaults(FaultContract):
    """Whatever becomes of the name server, nobody is disconnected."""

    @pytest.fixture
    async def source(self, server: NameServer) -> AsyncIterator[FailingDns]:
        async with front(server.port) as before:
            yield FailingDns(server, before, PORT)

    def make(self, source: FailingDns) -> DiscoveryStrategy:
        # The doors of these nodes have different ports and one address, which only SRV records can tell.
        return make(
            "kubernetes_dns_srv",
            source.front.port,
            namespace="shop",
            cluster_domain="cluster.test",
            targets="addresses",
            poll_interval_s=PERIOD_S,
        )


class TestAddressFaults(AddressFaults):
    """The same where the pods are found by their addresses."""

    name = SERVICE

    def make(self, source: FailingDns) -> DiscoveryStrategy:
        where = {"service": "web", "namespace": "shop", "cluster_domain": "cluster.test"}
        return make_strategy("kubernetes_dns", {**where, **asking(source)})


async def test_addresses_of_the_service(server: NameServer, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is made of the service, the pod's namespace and the cluster's domain; the port is this node's."""
    monkeypatch.setenv("CLUSTER_DOMAIN", "cluster.test")
    await server.set(SERVICE, "A", "10.0.0.1", "10.0.0.2")
    await server.set(SERVICE, "AAAA", "2001:db8::1")
    seen = await look("kubernetes_dns", server, service_account=account)
    assert seen == {Peer((address,)) for address in ("10.0.0.1:7001", "10.0.0.2:7001", "[2001:db8::1]:7001")}
    seen = await look("kubernetes_dns", server, service_account=account, resource_types=("AAAA",), port=4711)
    assert seen == {Peer(("[2001:db8::1]:4711",))}


async def test_hosts_of_the_service(server: NameServer, account: str) -> None:
    """SRV records of the named port give the names of pods; without a port's name, all ports that have one."""
    for number in (0, 1):
        await server.set(f"web-{number}.{SERVICE}", "A", f"10.0.0.{number}")
    await server.set(PORT, "SRV", f"0 50 4711 web-0.{SERVICE}", f"0 50 4711 web-1.{SERVICE}")
    await server.set(SERVICE, "SRV", f"0 50 4711 web-0.{SERVICE}", f"0 50 80 web-0.{SERVICE}")
    options = {"service_account": account, "cluster_domain": "cluster.test."}
    names = tuple(f"web-{number}.{SERVICE[:-1]}" for number in (0, 1))
    assert await look("kubernetes_dns_srv", server, **options) == {Peer((f"{name}:4711",)) for name in names}
    addresses = {Peer((f"10.0.0.{number}:4711",)) for number in (0, 1)}
    assert await look("kubernetes_dns_srv", server, **options, targets="addresses") == addresses
    (peer,) = await look("kubernetes_dns_srv", server, **options, port_name="")
    assert set(peer.addresses) == {f"{names[0]}:4711", f"{names[0]}:80"}


@pytest.mark.parametrize(
    ("name", "asked"), [("kubernetes_dns", SERVICE), ("kubernetes_dns_srv", PORT)], ids=["addresses", "hosts"]
)
async def test_unknown_service_says_so(server: NameServer, name: str, asked: str) -> None:
    """A service that does not exist is named in full."""
    with pytest.raises(DiscoveryError, match=f"DNS knows no name '{asked}'"):
        await look(name, server, namespace="shop", cluster_domain="cluster.test")


@pytest.mark.parametrize("name", ["kubernetes_dns", "kubernetes_dns_srv"])
async def test_outside_of_a_pod(server: NameServer, name: str, tmp_path: Path) -> None:
    """Without a service account, the option that takes its place is named."""
    with pytest.raises(ConfigurationError, match="outside of a pod, set the option 'namespace'"):
        await look(name, server, service_account=str(tmp_path / "missing"))


async def test_lookup_before_start_finds_nobody() -> None:
    """A strategy that was never started asks nobody, and can be stopped."""
    strategy = make("kubernetes_dns", 53)
    assert set(await strategy.lookup()) == set()
    await strategy.stop()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("kubernetes_dns", {"service": "Web"}, "the option 'service' cannot be 'Web'"),
        ("kubernetes_dns", {"port": 65536}, "'port' must be a port"),
        ("kubernetes_dns_srv", {"port_name": "a.b"}, r"the option 'port_name' cannot be 'a\.b'"),
        ("kubernetes_dns_srv", {"selector": "a=b"}, "has no option 'selector'; there are: service, namespace, "),
    ],
)
def test_wrong_options(name: str, options: dict[str, Any], words: str) -> None:
    """What cannot be a name in Kubernetes is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=words):
        make_strategy(name, options)
