"""The strategy for the API of Kubernetes, against a double of the API server.

How the double differs from a real server is said where it is defined.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from foundation.discovery import DiscoveryStrategy, Peer, make_strategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.certificates import Authorities
from tests.discovery.announcing import announcement, until_seen
from tests.discovery.faults import PERIOD_S, Fault, FaultContract
from tests.services.kubernetes import (
    NAMESPACE,
    PODS,
    SERVICE_ACCOUNT,
    SLICES,
    ApiServer,
    Mode,
    api_server,
    endpoint,
    pod,
    slice_of,
)
from tests.waiting import eventually

MODES: dict[Fault, Mode] = {"empty": "empty", "error": "unavailable", "hang": "hang", "garbage": "garbage"}


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with api_server() as running:
        yield running


@contextlib.asynccontextmanager
async def started(server: ApiServer, **options: Any) -> AsyncGenerator[DiscoveryStrategy]:
    """Run a strategy of a node at port 7001."""
    strategy = make_strategy("kubernetes", {"api_server": server.url, "namespace": NAMESPACE} | options)
    await strategy.start(announcement("shop", "192.0.2.1:7001"))
    try:
        yield strategy
    finally:
        await strategy.stop()


async def look(server: ApiServer, **options: Any) -> set[Peer]:
    async with started(server, **options) as strategy:
        return set(await strategy.lookup())


def at(*addresses: str) -> set[Peer]:
    return {Peer((address,)) for address in addresses}


class FailingApi:
    """Lists nodes as endpoints, each with its port in a slice of its own."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._count = 0

    async def list(self, addresses: Sequence[str]) -> None:
        for number in range(max(self._count, len(addresses))):
            host, _, port = addresses[number].rpartition(":") if number < len(addresses) else ("", "", "")
            if host:
                item = slice_of(f"s{number}", endpoint(f"p{number}", host), ports={"foundation": int(port)})
                await self.server.put(SLICES, item)
        self._count = max(self._count, len(addresses))
        self._addresses = addresses

    async def misbehave(self, fault: Fault | None) -> None:
        if fault == "half":
            for number in range(self._count):
                await self.server.remove(SLICES, f"s{number}")
        elif fault is None:
            self.server.mode = "well"
            await self.list(self._addresses)
        else:
            self.server.mode = MODES[fault]
            self.server.cut()


class TestFaults(FaultContract):
    """Whatever becomes of the API server, nobody is disconnected."""

    @pytest.fixture
    async def source(self, server: ApiServer) -> FailingApi:
        return FailingApi(server)

    def make(self, source: FailingApi) -> DiscoveryStrategy:
        options = {"api_server": source.server.url, "namespace": NAMESPACE, "poll_interval_s": PERIOD_S}
        return make_strategy("kubernetes", options)


async def test_endpoints_of_all_pages_whatever_their_condition(server: ApiServer) -> None:
    """Pods that are not ready or are terminating still serve, and are found; so are those of later pages."""
    await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2", ready=False)))
    await server.put(SLICES, slice_of("b", endpoint("c", "10.0.0.3", ready=False, terminating=True)))
    await server.put(SLICES, slice_of("c", endpoint("d", "10.0.0.4"), labels={"app": "other"}))
    await server.put(SLICES, slice_of("d", endpoint("e", "10.0.0.5"), service="other"))
    await server.put(SLICES, slice_of("e"))
    assert await look(server) == at(*(f"10.0.0.{number}:4711" for number in (1, 2, 3, 5)))
    assert len(server.asked("list")) == 2
    assert await look(server, service="other") == at("10.0.0.5:4711")
    assert await look(server, service="other", selector="app=none") == set()


async def test_pods_whatever_their_condition(server: ApiServer) -> None:
    """Pods that start or are deleted are found; those that have ended, or have no address yet, are not."""
    await server.put(PODS, pod("a", "10.0.0.1"))
    await server.put(PODS, pod("b", "10.0.0.2", phase="Pending"))
    await server.put(PODS, pod("c", "10.0.0.3", deleted=True))
    await server.put(PODS, pod("d", "10.0.0.4", phase="Succeeded"))
    await server.put(PODS, pod("e", phase="Pending"))
    await server.put(PODS, pod("f", "10.0.0.6", labels={"app": "other"}))
    assert await look(server, lookup="pods") == at("10.0.0.1:4711", "10.0.0.2:4711", "10.0.0.3:4711")
    assert await look(server, lookup="pods", selector="app=other") == at("10.0.0.6:4711")


async def test_addresses_of_one_pod_are_one_peer(server: ApiServer) -> None:
    """A pod with IPv4 and IPv6 is in two slices, and is one peer with two addresses."""
    await server.put(SLICES, slice_of("six", endpoint("a", "2001:db8::1")))
    await server.put(SLICES, slice_of("four", endpoint("a", "10.0.0.1")))
    await server.put(PODS, pod("a", "10.0.0.1", "2001:db8::1"))
    expected = {Peer(("10.0.0.1:4711", "[2001:db8::1]:4711"))}
    assert await look(server) == expected
    assert await look(server, lookup="pods") == expected


@pytest.mark.parametrize("lookup", ["endpoint_slices", "pods"])
async def test_modes_of_addresses(server: ApiServer, lookup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod is dialed by IP, by the name its service gives it, or by the name that DNS has for its IP."""
    await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1", hostname="web-0"), endpoint("b", "2001:db8::2")))
    await server.put(PODS, pod("a", "10.0.0.1", hostname="web-0", subdomain="web"))
    await server.put(PODS, pod("b", "2001:db8::2"))
    monkeypatch.setenv("CLUSTER_DOMAIN", "cluster.test")
    by_host = await look(server, lookup=lookup, mode="hostname")
    assert by_host == at("web-0.web.shop.svc.cluster.test:4711", "[2001:db8::2]:4711")
    by_dns = await look(server, lookup=lookup, mode="dns", cluster_domain="cluster.local")
    expected = at("10-0-0-1.shop.pod.cluster.local:4711", "2001-db8--2.shop.pod.cluster.local:4711")
    assert by_dns == expected


@pytest.mark.parametrize("lookup", ["endpoint_slices", "pods"])
async def test_ports_by_number_and_name(server: ApiServer, lookup: str) -> None:
    """The port is a number, or what the name stands for; without either, that of this node."""
    ports = {"web": 80, "cluster": 4369}
    await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1"), ports=ports))
    await server.put(PODS, pod("a", "10.0.0.1", ports=ports))
    assert await look(server, lookup=lookup, port=9000) == at("10.0.0.1:9000")
    assert await look(server, lookup=lookup, port="9000") == at("10.0.0.1:9000")
    assert await look(server, lookup=lookup, port="cluster") == at("10.0.0.1:4369")
    assert await look(server, lookup=lookup) == at("10.0.0.1:7001")
    with pytest.raises(DiscoveryError, match="1 pods were found in the namespace shop, but not their port"):
        await look(server, lookup=lookup, port="missing")


async def test_garbage_beside_good_entries_is_left_out(server: ApiServer) -> None:
    """What cannot be read is skipped, in a list, in an object, and in a watch."""
    garbage: list[Any] = [None, 7, {}, {"addresses": "x"}, {"addresses": []}, endpoint("x", "not an address")]
    await server.put(SLICES, slice_of("a", *garbage, endpoint("a", "10.0.0.1")))
    await server.put(SLICES, {"metadata": {"name": "b", "labels": {"app": "foundation"}}, "endpoints": 7})
    await server.put(PODS, {"metadata": {"name": "b", "labels": {"app": "foundation"}}, "spec": None})
    await server.put(PODS, pod("a", "10.0.0.1"))
    assert await look(server, lookup="pods") == at("10.0.0.1:4711")
    async with started(server) as strategy:
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")
        watching = asyncio.ensure_future(strategy.wait_changed())
        await eventually(lambda: server.asked("watch"))
        await server.say(SLICES, "SOMETHING", {"metadata": {"name": "a"}})
        await server.put(SLICES, {"metadata": {"name": "c", "labels": {"app": "foundation"}}, "endpoints": "?"})
        await server.put(SLICES, slice_of("d", endpoint("d", "10.0.0.2")))
        await asyncio.wait_for(watching, 5)
        assert set(await strategy.lookup()) == at("10.0.0.1:4711", "10.0.0.2:4711")


async def test_watch_tells_of_changes_without_another_list(server: ApiServer) -> None:
    """A pod that comes, moves or goes ends the wait; what it changed is known without listing."""
    async with started(server) as strategy:
        assert set(await strategy.lookup()) == set()
        for change, seen in (
            (server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1"))), at("10.0.0.1:4711")),
            (server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.2"))), at("10.0.0.2:4711")),
            (server.remove(SLICES, "a"), set()),
        ):
            watching = asyncio.ensure_future(strategy.wait_changed())
            await change
            await asyncio.wait_for(watching, 5)
            assert set(await strategy.lookup()) == seen
        assert len(server.asked("list")) == 1


async def test_watch_goes_on_from_the_last_version(server: ApiServer) -> None:
    """A wait that is cut short loses nothing: the next goes on from the last event, or the last bookmark."""
    async with started(server) as strategy:
        await strategy.lookup()
        watching = asyncio.ensure_future(strategy.wait_changed())
        await eventually(lambda: server.asked("watch"))
        await server.put(PODS, pod("other", "10.0.0.9"))
        await server.bookmark(SLICES)
        await eventually(lambda: strategy._version == "102")  # type: ignore[attr-defined]
        watching.cancel()
        server.forget()
        await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
        await asyncio.wait_for(strategy.wait_changed(), 5)
        assert [query["resourceVersion"] for query in server.asked("watch")] == ["100", "102"]
        assert all(query["allowWatchBookmarks"] == "true" for query in server.asked("watch"))
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")
        assert len(server.asked("list")) == 1


async def test_forgotten_version_is_listed_again(server: ApiServer) -> None:
    """When the server has forgotten where the watch stood, everything is listed, and then watched again."""
    async with started(server, use_cached_resources=True) as strategy:
        await strategy.lookup()
        await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
        server.forget()
        await asyncio.wait_for(strategy.wait_changed(), 5)
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")
        assert [query.get("resourceVersion") for query in server.asked("list")] == ["0", None]
        await server.put(SLICES, slice_of("b", endpoint("b", "10.0.0.2")))
        await until_seen(strategy, lambda seen: len(seen) == 2, "the second pod")


async def test_server_that_forgets_always_is_not_flooded(server: ApiServer) -> None:
    """A watch that fails each time is begun again more and more seldom."""
    async with started(server) as strategy:
        await strategy.lookup()
        server.mode = "gone"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.6):
                while True:
                    await strategy.wait_changed()
        assert 2 <= len(server.asked("watch")) <= 4


async def test_watch_that_breaks_asks_for_a_list_once(server: ApiServer) -> None:
    """A connection that breaks ends the wait, so that a list shows how the server is; then watching goes on."""
    async with started(server) as strategy:
        await strategy.lookup()
        watching = asyncio.ensure_future(strategy.wait_changed())
        await eventually(lambda: server.asked("watch"))
        server.cut()
        await asyncio.wait_for(watching, 5)
        assert set(await strategy.lookup()) == set()
        assert len(server.asked("list")) == 2
        await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
        await asyncio.wait_for(strategy.wait_changed(), 5)
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")


@pytest.mark.parametrize(
    ("lookup", "group", "name", "qualified"),
    [
        ("endpoint_slices", "discovery.k8s.io", "endpointslices", "endpointslices.discovery.k8s.io"),
        ("pods", "", "pods", "pods"),
    ],
)
async def test_missing_permission_is_named(
    server: ApiServer, lookup: str, group: str, name: str, qualified: str
) -> None:
    """A refusal names the account, the rule that its role lacks, and the command that tests it."""
    server.denied = {"list"}
    with pytest.raises(DiscoveryError) as caught:
        await look(server, lookup=lookup)
    assert str(caught.value) == (
        f"Kubernetes forbids {SERVICE_ACCOUNT} to list {name} (403): its Role in the namespace shop lacks "
        f'{{apiGroups: ["{group}"], resources: ["{name}"], verbs: ["list", "watch"]}}; '
        f"test it: kubectl auth can-i list {qualified} -n shop --as {SERVICE_ACCOUNT}"
    )


async def test_watch_that_is_forbidden_is_said_once(server: ApiServer) -> None:
    """An account that may list but not watch is told so once, and then lists alone."""
    server.denied = {"watch"}
    async with started(server) as strategy:
        await strategy.lookup()
        with pytest.raises(DiscoveryError, match="to watch endpointslices"):
            await strategy.wait_changed()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(strategy.wait_changed(), 0.1)
        await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("unavailable", "answered 503 to list endpointslices: upstream connect error"),
        ("garbage", "answered what is no list of endpointslices .*; is it Kubernetes?"),
        ("hang", r"did not answer within 0\.2 s"),
    ],
)
async def test_failures_say_what_happened(server: ApiServer, mode: Mode, words: str) -> None:
    """What is no list is an error that names the server and what it did."""
    server.mode = mode
    with pytest.raises(DiscoveryError, match=f"the API server at http://127.0.0.1:{server.port} {words}"):
        await look(server, timeout_s=0.2)


async def test_nobody_listens(server: ApiServer) -> None:
    """A server that is not there is an error that names where it was looked for."""
    await server.close()
    with pytest.raises(DiscoveryError, match=f"the API server at http://127.0.0.1:{server.port} does not answer: "):
        await look(server)


class Account:
    """A service account's folder, and the authority behind it."""

    def __init__(self, folder: Path) -> None:
        self._authorities = Authorities(folder / "tls")
        self.folder = folder / "account"
        self.folder.mkdir()
        self.stranger = self._authorities.theirs.file
        self.authority = Path(self._authorities.ours.file).read_text()
        for name, text in (("namespace", NAMESPACE), ("token", "first\n"), ("ca.crt", self.authority)):
            (self.folder / name).write_text(text)

    def server_context(self) -> ssl.SSLContext:
        certified = self._authorities.ours.node("127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certified.certificate, certified.private_key)
        return context


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


@pytest.fixture
async def guarded(account: Account, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    """Run a server with TLS that knows the account's token, where a pod's environment says."""
    async with api_server(account.server_context()) as server:
        server.token = "first"
        await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        yield server


async def test_token_is_read_again(guarded: ApiServer, account: Account) -> None:
    """As in a pod, nothing is configured; a token that was replaced is used from the next request on."""
    options = {"api_server": None, "namespace": None, "service_account": str(account.folder)}
    async with started(guarded, **options) as strategy:
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")
        guarded.token = "second"
        with pytest.raises(DiscoveryError, match=r"does not believe the token in .*/token \(401\)"):
            await strategy.lookup()
        (account.folder / "token").write_text("second")
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")


async def test_server_is_verified(guarded: ApiServer, account: Account) -> None:
    """A server of another authority is refused, and without an authority none is asked."""
    options = {"api_server": None, "service_account": str(account.folder)}
    with pytest.raises(DiscoveryError, match=r"does not answer: .*CERTIFICATE_VERIFY_FAILED"):
        await look(guarded, **options, ca_file=account.stranger)
    with pytest.raises(ConfigurationError, match=r"/none cannot be read .*; set the option 'ca_file'"):
        await look(guarded, **options, ca_file=str(account.folder / "none"))
    with pytest.raises(DiscoveryError, match=r"the file .*/none cannot be read: No such file"):
        await look(guarded, **options, token_file=str(account.folder / "none"))
    assert not guarded.requests


async def test_token_is_not_sent_without_tls(server: ApiServer, tmp_path: Path) -> None:
    """A proxy without TLS never sees the token."""
    (tmp_path / "token").write_text("secret")
    server.token = "secret"
    with pytest.raises(DiscoveryError, match="401"):
        await look(server, service_account=str(tmp_path))


async def test_outside_of_a_pod(monkeypatch: pytest.MonkeyPatch, server: ApiServer, tmp_path: Path) -> None:
    """Without an environment or a service account, the options that take their place are named."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigurationError, match=r"this is no pod of Kubernetes .* or run `kubectl proxy`"):
        await look(server, api_server=None)
    with pytest.raises(ConfigurationError, match="outside of a pod, set the option 'namespace'"):
        await look(server, namespace=None, service_account=str(tmp_path))


async def test_stop_is_idempotent(server: ApiServer) -> None:
    """Stopping does no harm before a start, nor twice, and a lookup afterwards finds nobody."""
    strategy = make_strategy("kubernetes", {"api_server": server.url, "namespace": NAMESPACE})
    await strategy.stop()
    await server.put(SLICES, slice_of("a", endpoint("a", "10.0.0.1")))
    for _ in range(2):
        await strategy.start(announcement())
        assert set(await strategy.lookup()) == at("10.0.0.1:4711")
        await strategy.stop()
        await strategy.stop()
        assert set(await strategy.lookup()) == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lookup": "endpoints"}, "an option of the discovery strategy 'kubernetes' cannot be used"),
        ({"mode": "name"}, "an option of the discovery strategy 'kubernetes' cannot be used"),
        ({"service": "-web"}, "the option 'service' cannot be '-web'"),
        ({"port": 0}, "'port' must be a port"),
        ({"port": "a/b"}, "the option 'port' cannot be 'a/b'"),
        ({"api_server": "10.0.0.1:443"}, "'api_server' must be https://host:port, not '10.0.0.1:443'"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    """What cannot be used is refused when the strategy is made."""
    with pytest.raises(ConfigurationError, match=words):
        make_strategy("kubernetes", options)


def test_without_the_library() -> None:
    """Without httpx, the error names the line that installs it."""
    program = """
import sys
sys.modules["httpx"] = None
from foundation.discovery import make_strategy
from foundation.errors import MissingExtraError
try:
    make_strategy("kubernetes", {})
except MissingExtraError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert printed.stdout == (
        "the discovery strategy 'kubernetes' needs httpx, which is not installed: "
        'pip install "foundation[kubernetes]"\n'
    )
