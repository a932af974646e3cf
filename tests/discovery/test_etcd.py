"""The strategy `etcd` against a real etcd: the contracts, users, TLS, leases, and what else can happen."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from foundation.discovery.strategies.etcd import EtcdOptions, EtcdStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.certificates import Authorities
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.discovery.contract import Start, StrategyContract
from tests.discovery.dying import check_death
from tests.discovery.faults import PERIOD_S, FaultContract
from tests.services.etcd import EtcdServer, etcd_server
from tests.services.proxy import Proxy
from tests.services.server import free_port
from tests.services.source import ProxiedSource

NOBODY = b'{"header":{"revision":"1"}}'


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with etcd_server() as server:
        yield server


def options(server: EtcdServer, **more: Any) -> EtcdOptions:
    return EtcdOptions(endpoints=(server.url,), **more)


async def ask(server: EtcdServer, path: str, **content: Any) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(f"{server.url}/v3/{path}", json=content)).raise_for_status().json()


class TestEtcdContract(StrategyContract):
    """Nodes that meet in a real etcd."""

    @pytest.fixture
    def make(self, etcd: EtcdServer) -> Callable[[], DiscoveryStrategy]:
        self.etcd = etcd
        return lambda: EtcdStrategy(options(etcd))

    async def spoil(self) -> None:
        values = [b"", b"\xff\xfe", b"{}", b"[1,2]", b"null", b'{"node":"x"}', b"x" * 70_000]
        for number, value in enumerate(values):
            key = f"foundation/{self.cluster}/".encode() + (b"\xff" if number == 1 else f"spoilt{number}".encode())
            await ask(self.etcd, "kv/put", key=_base64(key), value=_base64(value))

    async def test_wakes_when_somebody_comes_or_goes(self, start: Start) -> None:
        """A watch ends when a key is written or removed after the lookup, also before the watch began."""
        one = announcement()
        first = await start(one)
        await first.lookup()
        second = await start(announcement(one.cluster))
        async with asyncio.timeout(5):
            await first.wait_changed()
            await first.lookup()
            waiting = asyncio.ensure_future(first.wait_changed())
            await second.stop()
            await waiting

    async def test_a_lost_lease_is_replaced(self, start: Start) -> None:
        """A node whose lease or key was taken away is there again after its next lookup."""
        one = announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        for lease in (await ask(self.etcd, "lease/leases"))["leases"]:
            await ask(self.etcd, "lease/revoke", ID=lease["ID"])
        assert not set(await first.lookup())
        await second.lookup()
        assert set(await first.lookup()) == {peer_of(two)}
        await ask(self.etcd, "kv/deleterange", key=_base64(b"\0"), range_end=_base64(b"\0"))
        await second.lookup()
        assert set(await first.lookup()) == {peer_of(two)}

    async def test_a_compacted_history_wakes(self, start: Start) -> None:
        """A watch that begins where etcd has forgotten the history ends at once."""
        one = announcement()
        first = await start(one)
        await first.lookup()
        await start(announcement(one.cluster))
        await start(announcement(one.cluster))
        revision = (await ask(self.etcd, "kv/range", key=_base64(b"x")))["header"]["revision"]
        await ask(self.etcd, "kv/compaction", revision=revision)
        async with asyncio.timeout(5):
            await first.wait_changed()

    async def test_dies_with_its_lease(self) -> None:
        """A node that is killed is gone after its time to live, the others stay."""
        await check_death(lambda: EtcdStrategy(options(self.etcd, ttl_s=1, poll_interval_s=0.1)), 1.0)

    async def test_an_endpoint_that_is_down_or_hangs_is_passed_over(self) -> None:
        """The next endpoint is asked when one refuses, and when one never answers."""
        with socket.create_server(("127.0.0.1", 0)) as hanging:
            ports = (free_port(), hanging.getsockname()[1])
            endpoints = (*(f"http://127.0.0.1:{port}" for port in ports), self.etcd.url)
            strategy = EtcdStrategy(EtcdOptions(endpoints=endpoints, timeout_s=0.1))
            await strategy.start(announcement())
            assert set(await strategy.lookup()) == set()
            await strategy.stop()

    @pytest.fixture(autouse=True)
    def _server(self, etcd: EtcdServer) -> None:
        self.etcd = etcd


def nobody(request: bytes) -> bytes | None:
    """Answer a range with no keys, and let everything else through."""
    if b"POST /v3/kv/range" not in request:
        return None
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(NOBODY)}\r\n\r\n"
    return head.encode() + NOBODY


class TestEtcdFaults(FaultContract):
    """A real etcd that hangs, is stopped, or stands behind a bad line."""

    @pytest.fixture
    async def source(self, etcd: EtcdServer) -> AsyncIterator[ProxiedSource]:
        async with Proxy(etcd.port) as proxy:
            yield ProxiedSource(etcd.server, proxy, nobody)

    def make(self, source: ProxiedSource) -> DiscoveryStrategy:
        return EtcdStrategy(EtcdOptions(endpoints=(f"http://127.0.0.1:{source.port}",), poll_interval_s=PERIOD_S))


@pytest.fixture
async def guarded(etcd: EtcdServer) -> AsyncIterator[EtcdServer]:
    """Turn on users, with one that may use ``shop/`` and one that may not."""
    await ask(etcd, "auth/user/add", name="root", password="root")
    await ask(etcd, "auth/user/grant", user="root", role="root")
    for user in ("anne", "bert"):
        await ask(etcd, "auth/user/add", name=user, password="secret")
    await ask(etcd, "auth/role/add", name="shop")
    permission = {"permType": "READWRITE", "key": _base64(b"shop/"), "range_end": _base64(b"shop0")}
    await ask(etcd, "auth/role/grant", name="shop", perm=permission)
    await ask(etcd, "auth/user/grant", user="anne", role="shop")
    await ask(etcd, "auth/enable")
    yield etcd
    async with httpx.AsyncClient(trust_env=False, base_url=f"{etcd.url}/v3/") as client:
        token = (await client.post("auth/authenticate", json={"name": "root", "password": "root"})).json()["token"]
        headers = {"Authorization": token}
        await client.post("auth/disable", json={}, headers=headers)
    for user in ("root", "anne", "bert"):
        await ask(etcd, "auth/user/delete", name=user)
    await ask(etcd, "auth/role/delete", role="shop")


async def test_a_user_with_the_right_is_let_in(guarded: EtcdServer) -> None:
    """A node logs in and announces itself; when its token ends it logs in again; it says goodbye."""
    one = announcement()
    two = announcement(one.cluster)
    allowed = options(guarded, prefix="shop", user="anne", password="secret")
    first, second = EtcdStrategy(allowed), EtcdStrategy(allowed)
    await first.start(one)
    await second.start(two)
    assert set(await first.lookup()) == {peer_of(two)}
    first._etcd.set_header("Authorization", "ended.1")
    assert set(await first.lookup()) == {peer_of(two)}
    await second.stop()
    assert not set(await first.lookup())
    await first.stop()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"user": "anne", "password": "wrong"}, "does not let the user 'anne' in"),
        ({"user": "bert", "password": "secret"}, "etcdctl role grant-permission ROLE readwrite --prefix=true shop/"),
        ({}, "set the options user and password"),
    ],
)
async def test_a_user_without_the_right_is_told_what_to_do(guarded: EtcdServer, more: Any, says: str) -> None:
    """The error names the option or the command that helps, and no password."""
    strategy = EtcdStrategy(options(guarded, prefix="shop", **more))
    with pytest.raises(DiscoveryError, match=says) as caught:
        await strategy.start(announcement())
    assert "secret" not in str(caught.value)
    await strategy.stop()


async def test_tls_with_certificates_of_clients(authorities: Authorities) -> None:
    """Over TLS, nodes with a certificate find each other; one without, or one that believes others, is refused."""
    ours, theirs = authorities.ours.node("127.0.0.1"), authorities.theirs.node("127.0.0.1")
    arguments = (
        f"--cert-file={ours.certificate}",
        f"--key-file={ours.private_key}",
        f"--trusted-ca-file={ours.authority}",
        "--client-cert-auth",
    )
    with etcd_server(*arguments, scheme="https") as server:
        good = options(server, authority=ours.authority, certificate=ours.certificate, private_key=ours.private_key)
        first, second = EtcdStrategy(good), EtcdStrategy(good)
        one = announcement()
        two = announcement(one.cluster)
        await first.start(one)
        await second.start(two)
        assert set(await first.lookup()) == {peer_of(two)}
        await second.stop()
        await first.stop()
        for bad in (replace(good, authority=theirs.authority), replace(good, certificate=None, private_key=None)):
            strategy = EtcdStrategy(bad)
            with pytest.raises(DiscoveryError, match="does not answer at https://"):
                await strategy.start(announcement())
            await strategy.stop()


def test_the_real_client_reads_the_keys(etcd: EtcdServer) -> None:
    """What a node writes is readable by others: a key of prefix, cluster and node, with JSON in it."""
    if shutil.which("etcdctl") is None:
        pytest.skip("etcdctl is not installed: apt-get install etcd-client")
    one = announcement("a/b c")

    async def write() -> str:
        strategy = EtcdStrategy(options(etcd))
        await strategy.start(one)
        command = ["etcdctl", "--endpoints", etcd.url, "get", "--prefix", "foundation/a%2Fb%20c/"]
        done = await asyncio.to_thread(
            subprocess.run, command, env={"ETCDCTL_API": "3"}, capture_output=True, text=True, check=True
        )
        await strategy.stop()
        return done.stdout

    written = asyncio.run(write())
    assert one.node in written
    assert '"cluster":"a/b c"' in written


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"endpoints": ()}, "needs an endpoint"),
        ({"endpoints": ("127.0.0.1:2379",)}, "is written http://host:port"),
        ({"endpoints": ("http://a:b@127.0.0.1",)}, "has a password in it"),
        ({"ttl_s": 5.0}, "at least twice as long"),
        ({"certificate": "a.pem"}, "certificate and private_key"),
    ],
)
def test_wrong_options_are_refused(wrong: Any, says: str) -> None:
    """An option that cannot work is an error before anything is asked."""
    with pytest.raises(ConfigurationError, match=says):
        EtcdStrategy(EtcdOptions(**wrong))


def test_the_password_is_not_shown() -> None:
    """The options can be logged."""
    assert "hush" not in repr(EtcdOptions(user="anne", password="hush"))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
