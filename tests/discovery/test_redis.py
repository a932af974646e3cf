"""The strategy `redis` against a real Redis: the contracts, users, TLS, lost keys, and what else can happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from foundation.discovery.strategies.redis import RedisOptions, RedisStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.certificates import Authorities
from tests.discovery.announcing import announcement, peer_of, until_seen
from tests.discovery.contract import Start, StrategyContract
from tests.discovery.dying import check_death
from tests.discovery.faults import PERIOD_S, FaultContract
from tests.services.proxy import Proxy
from tests.services.redis import RedisServer, redis_server
from tests.services.server import free_port
from tests.services.source import ProxiedSource


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as made:
        yield made


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis.from_url(server.url) as made:
        yield made


class TestRedisContract(StrategyContract):
    """Nodes that meet in a real Redis."""

    @pytest.fixture
    def make(self, server: RedisServer, client: Any) -> Callable[[], DiscoveryStrategy]:
        self.client = client
        return lambda: RedisStrategy(RedisOptions(url=server.url))

    async def spoil(self) -> None:
        keys = f"{{foundation:{self.cluster}}}"
        values = [b"", b"\xff\xfe", b"{}", b"[1,2]", b"null", b'{"node":"x"}', b"x" * 70_000]
        for number, value in enumerate(values):
            await self.client.set(f"{keys}:spoilt{number}", value)
            await self.client.zadd(keys, {f"spoilt{number}": 4e9})
        await self.client.zadd(keys, {b"\xff": 4e9, b"nobody": 4e9, b"a list": 4e9})
        await self.client.lpush(f"{keys}:a list", "x")
        await self.client.publish(f"{keys}:changes", b"\xff")

    async def test_wakes_when_somebody_comes_or_goes(self, start: Start) -> None:
        """What a node says when it comes or goes is heard, also between two waits."""
        one = announcement()
        first = await start(one)
        second = await start(announcement(one.cluster))
        async with asyncio.timeout(5):
            await first.wait_changed()
            await first.lookup()
            waiting = asyncio.ensure_future(first.wait_changed())
            await second.stop()
            await waiting

    async def test_a_lost_key_is_written_again(self, start: Start) -> None:
        """After FLUSHALL a node is there again with its next lookup."""
        one = announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await self.client.flushall()
        assert not set(await first.lookup())
        await second.lookup()
        assert set(await first.lookup()) == {peer_of(two)}

    async def test_nothing_stays_for_ever(self, start: Start) -> None:
        """Each key that a node writes expires, and old entries of the index are dropped before."""
        one = announcement()
        first = await start(one)
        keys = f"{{foundation:{one.cluster}}}"
        await self.client.zadd(keys, {"long-dead": 1.0})
        await first.lookup()
        assert [await self.client.pttl(key) > 0 for key in (keys, f"{keys}:{one.node}")] == [True, True]
        assert await self.client.zrange(keys, 0, -1) == [one.node.encode()]


async def test_dies_with_its_key(server: RedisServer) -> None:
    """A node that is killed is gone after its time to live, the others stay."""
    await check_death(lambda: RedisStrategy(RedisOptions(url=server.url, ttl_s=0.6, poll_interval_s=0.1)), 0.6)


def nobody(request: bytes) -> bytes | None:
    """Answer MGET as if all keys had expired, and let everything else through."""
    head, _, rest = request.partition(b"\r\n")
    if not rest.startswith(b"$4\r\nMGET\r\n"):
        return None
    count = int(head[1:]) - 1
    return b"*%d\r\n" % count + b"$-1\r\n" * count


class TestRedisFaults(FaultContract):
    """A real Redis that hangs, is killed and forgets everything, or stands behind a bad line."""

    @pytest.fixture
    async def source(self, server: RedisServer) -> AsyncIterator[ProxiedSource]:
        async with Proxy(server.port) as proxy:
            yield ProxiedSource(server.server, proxy, nobody)

    def make(self, source: ProxiedSource) -> DiscoveryStrategy:
        url = f"redis://127.0.0.1:{source.port}/0?protocol=2"
        return RedisStrategy(RedisOptions(url=url, poll_interval_s=PERIOD_S))


async def test_a_user_with_few_rights_is_enough(server: RedisServer, client: Any) -> None:
    """A user that may use the keys and the channel of the prefix finds others; the password may stand in the URL."""
    await client.execute_command(
        *("ACL", "SETUSER", "anne", "on", ">secret", "~{shop:*", "&{shop:*", "+@all", "-@dangerous", "-@admin")
    )
    one = announcement()
    two = announcement(one.cluster)
    first = RedisStrategy(RedisOptions(url=server.url, prefix="shop", user="anne", password="secret"))
    url = server.url.replace("//", "//anne:secret@")
    second = RedisStrategy(RedisOptions(url=url, prefix="shop"))
    await first.start(one)
    await second.start(two)
    assert set(await first.lookup()) == {peer_of(two)}
    await second.stop()
    assert not set(await first.lookup())
    await first.stop()


@pytest.mark.parametrize("more", [{"user": "bert", "password": "hush"}, {"user": "bert", "password": "wrong"}])
async def test_a_user_without_the_right_is_told_what_to_do(server: RedisServer, client: Any, more: Any) -> None:
    """The error names the command that helps, and no password."""
    await client.execute_command("ACL", "SETUSER", "bert", "on", ">hush", "~other:*", "&other:*", "+@all")
    strategy = RedisStrategy(RedisOptions(url=server.url, prefix="shop", **more))
    with pytest.raises(DiscoveryError, match=r"ACL SETUSER NAME on ~\{shop:") as caught:
        await strategy.start(announcement())
    assert more["password"] not in str(caught.value)
    with suppress(DiscoveryError):  # which it must not do either
        await strategy.stop()


async def test_tls_with_certificates_of_clients(authorities: Authorities) -> None:
    """Over TLS, nodes with a certificate find each other; one without, or one that believes others, is refused."""
    ours, theirs = authorities.ours.node("127.0.0.1"), authorities.theirs.node("127.0.0.1")
    arguments = ("--tls-cert-file", ours.certificate, "--tls-key-file", ours.private_key)
    with redis_server(*arguments, "--tls-ca-cert-file", ours.authority, tls=True) as server:
        good = RedisOptions(
            url=server.url, authority=ours.authority, certificate=ours.certificate, private_key=ours.private_key
        )
        one = announcement()
        two = announcement(one.cluster)
        first, second = RedisStrategy(good), RedisStrategy(good)
        await first.start(one)
        await second.start(two)
        assert set(await first.lookup()) == {peer_of(two)}
        await second.stop()
        await first.stop()
        for bad in (replace(good, authority=theirs.authority), replace(good, certificate=None, private_key=None)):
            strategy = RedisStrategy(bad)
            with pytest.raises(DiscoveryError, match=r"Redis at 127\.0\.0\.1"):
                await strategy.start(announcement())
            await strategy.stop()


async def test_nobody_there_is_one_clear_line() -> None:
    """The error names the address, without the password in the URL, and asks what to look at."""
    port = free_port()
    strategy = RedisStrategy(RedisOptions(url=f"redis://:hush@127.0.0.1:{port}/0"))
    with pytest.raises(DiscoveryError, match=f"Redis at 127.0.0.1:{port} .* does it run") as caught:
        await strategy.start(announcement())
    assert "hush" not in str(caught.value)
    await strategy.stop()


async def test_hears_again_after_a_cut(server: RedisServer) -> None:
    """When the line breaks while a node waits, that is an error, and after the next lookup it hears others again."""
    one = announcement()
    two = announcement(one.cluster)
    async with Proxy(server.port) as proxy:
        first = RedisStrategy(RedisOptions(url=f"redis://127.0.0.1:{proxy.port}/0"))
        second = RedisStrategy(RedisOptions(url=server.url))
        await first.start(one)
        waiting = asyncio.ensure_future(first.wait_changed())
        await asyncio.sleep(0)
        await proxy.cut()
        with pytest.raises(DiscoveryError):
            await waiting
        await until_seen(first, lambda seen: not seen, "nobody")
        waiting = asyncio.ensure_future(first.wait_changed())
        await second.start(two)
        async with asyncio.timeout(5):
            await waiting
        assert set(await first.lookup()) == {peer_of(two)}
        await second.stop()
        await first.stop()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "http://127.0.0.1"}, "is written redis://user:password@host"),
        ({"url": "redis://:hush@127.0.0.1:99999999/0"}, "is written redis://user:password@host"),
        ({"ttl_s": 5.0}, "at least twice as long"),
        ({"authority": "a.pem"}, "does not begin with rediss://"),
    ],
)
def test_wrong_options_are_refused(wrong: Any, says: str) -> None:
    """An option that cannot work is an error before anything is asked, and shows no password."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        RedisStrategy(RedisOptions(**wrong))
    assert "hush" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    """The options can be logged."""
    assert "hush" not in repr(RedisOptions(url="redis://:hush@127.0.0.1", password="hush"))
