"""Find nodes through Redis: each keeps a key there that expires unless it is written again.

Consistency: what one Redis says; a node that stops takes its key back, that of one that died expires. A replica may
lag, and a failover may lose the last writes: a node that misses its key writes it again at its next lookup.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from foundation.discovery.announced import read_announcements, write_announcement
from foundation.discovery.extras import missing_extra
from foundation.discovery.heartbeat import check_heartbeat
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

MOST_MEMBERS = 20_000


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """Which Redis to ask, and how this node is kept there."""

    url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    """``redis://user:password@host:port/database``; ``rediss`` for TLS, ``unix://path`` for a socket of this host."""

    user: str | None = None
    """The name to log in with, if not in the URL; None takes Redis's default user."""

    password: str | None = field(default=None, repr=False)
    """The password to log in with, if not in the URL."""

    prefix: str = "foundation"
    """What the keys and the channel begin with: a node is ``{prefix:cluster}:node``."""

    authority: str | None = None
    """A file with the certificates of the authorities to believe; None believes those of the system."""

    certificate: str | None = None
    """A file with this node's certificate, where Redis asks clients for one."""

    private_key: str | None = None
    """The file with the key of that certificate."""

    ttl_s: float = 15.0
    """Seconds until a node that died is gone; less forgets sooner, more survives a longer outage of Redis."""

    poll_interval_s: float = 5.0
    """Seconds between two lookups, each also a heartbeat; who comes and who stops is seen at once anyway."""


class RedisStrategy(DiscoveryStrategy):
    """Keep a key that expires and an entry in the index of the cluster; read the others', and hear of new ones.

    The index is a sorted set by the time of Redis, so that a lookup costs what the cluster costs, however many other
    keys there are.
    """

    Options: ClassVar[type[RedisOptions]] = RedisOptions

    def __init__(self, options: RedisOptions | None = None) -> None:
        """Check the options, connect to nothing yet."""
        try:
            from redis import asyncio as library  # noqa: PLC0415 - an extra, loaded where it is used
            from redis import exceptions  # noqa: PLC0415 - the same
        except ImportError as error:
            raise missing_extra(RedisStrategy.__module__.rpartition(".")[2], "redis") from error
        self._library: Any = library
        self._errors: Any = exceptions
        self._options = options = options or RedisOptions()
        check_heartbeat("redis", options.ttl_s, options.poll_interval_s)
        self._arguments = self._connection()
        self.poll_interval_s = options.poll_interval_s
        self._announcement: Announcement | None = None
        self._announced = False
        self._client: Any = None
        self._channel: Any = None
        self._keys = ""
        with self._making():
            self._new_client()  # finds what is wrong with the URL

    async def start(self, announcement: Announcement) -> None:
        """Announce this node and listen for others."""
        cluster = quote(announcement.cluster, safe="", errors="surrogatepass")
        # In braces, so that a Redis cluster keeps all of it in one place.
        self._keys = f"{{{self._options.prefix}:{cluster}}}"
        self._announcement = announcement
        self._client = self._new_client()
        async with self._asking("start"):
            await self._listen()
            if self.announces:
                await self._announce(announcement)

    async def lookup(self) -> Iterable[Peer]:
        """Keep this node's key alive and read those of the others."""
        announcement = self._announcement
        if announcement is None:
            return ()
        async with self._asking("look up"):
            if self._channel is None:
                await self._listen()
            ttl_ms = int(self._options.ttl_s * 1000)
            if self.announces and not await self._client.pexpire(self._key(announcement.node), ttl_ms):
                await self._announce(announcement)
            members = await self._members(announcement)
            values = await self._client.mget([self._key(member) for member in members]) if members else []
            stored = {member: value for member, value in zip(members, values, strict=True) if isinstance(value, bytes)}
        return read_announcements(stored.items(), announcement)

    async def wait_changed(self) -> None:
        """Return when another node says that it came or goes."""
        channel, me = self._channel, self._announcement
        if channel is None or me is None:
            await super().wait_changed()
            return
        try:
            while True:
                async with self._asking("listen"):
                    heard = await channel.get_message(ignore_subscribe_messages=True, timeout=None)
                if heard is not None and heard.get("data") != me.node.encode():
                    return
        except DiscoveryError:
            await self._stop_listening()  # the next lookup begins anew, and not with a line that was cut as well
            if self._client is not None:
                await self._client.connection_pool.disconnect()
            raise

    async def stop(self) -> None:
        """Take the key back, say so, and close the connections."""
        announcement, self._announcement = self._announcement, None
        try:
            if announcement is not None and self._announced:
                async with self._asking("say goodbye"), self._client.pipeline(transaction=True) as pipe:
                    pipe.delete(self._key(announcement.node))
                    pipe.zrem(self._keys, announcement.node)
                    pipe.publish(f"{self._keys}:changes", announcement.node)
                    await pipe.execute()
        finally:
            self._announced = False
            await self._stop_listening()
            client, self._client = self._client, None
            if client is not None:
                await client.aclose()

    async def _announce(self, announcement: Announcement) -> None:
        ttl_ms = int(self._options.ttl_s * 1000)
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.set(self._key(announcement.node), write_announcement(announcement), px=ttl_ms)
            pipe.zadd(self._keys, {announcement.node: await self._now_s()})
            pipe.publish(f"{self._keys}:changes", announcement.node)
            self._announced = True
            await pipe.execute()

    async def _members(self, announcement: Announcement) -> list[str]:
        """Renew our place in the index, drop those who have not done so for long, and return all."""
        now_s, ttl_s = await self._now_s(), self._options.ttl_s
        async with self._client.pipeline(transaction=True) as pipe:
            if self.announces:
                pipe.zadd(self._keys, {announcement.node: now_s})
                pipe.zremrangebyscore(self._keys, "-inf", now_s - 10 * ttl_s)
                pipe.pexpire(self._keys, int(20_000 * ttl_s))
            pipe.zrevrange(self._keys, 0, MOST_MEMBERS - 1)
            *_, members = await pipe.execute()
        return [member.decode() for member in members if member.isascii()]

    async def _now_s(self) -> float:
        seconds, microseconds = await self._client.time()
        return float(seconds + microseconds / 1e6)

    def _key(self, node: str) -> str:
        return f"{self._keys}:{node}"

    async def _listen(self) -> None:
        channel = self._client.pubsub()
        try:
            await channel.subscribe(f"{self._keys}:changes")
        except BaseException:
            await channel.aclose()
            raise
        self._channel = channel

    async def _stop_listening(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.aclose()

    def _connection(self) -> dict[str, Any]:
        options = self._options
        given: dict[str, Any] = {"username": options.user, "password": options.password}
        files = {
            "ssl_ca_certs": options.authority,
            "ssl_certfile": options.certificate,
            "ssl_keyfile": options.private_key,
        }
        given |= files
        if any(files.values()) and not options.url.startswith("rediss:"):
            message = "the discovery strategy 'redis' has TLS files, but its url does not begin with rediss://"
            raise ConfigurationError(message)
        return {name: value for name, value in given.items() if value is not None}

    def _new_client(self) -> Any:  # noqa: ANN401 - typed as far as the library is
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        return self._library.Redis.from_url(
            self._options.url,
            retry=Retry(NoBackoff(), 0),  # the framework does that
            client_name="foundation",
            **self._arguments,
        )

    @contextlib.contextmanager
    def _making(self) -> Any:  # noqa: ANN401
        try:
            yield
        except (ValueError, TypeError) as error:
            message = (
                "the url of the discovery strategy 'redis' cannot be used:"
                f" it is written redis://user:password@host:port/database ({type(error).__name__})"
            )
            raise ConfigurationError(message) from None  # the cause may show the password

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncGenerator[None]:
        errors, cancelled = self._errors, _cancelled()
        try:
            yield
            if _cancelled() > cancelled:
                raise asyncio.CancelledError  # the library swallows it now and then
        except (errors.AuthenticationError, errors.NoPermissionError, errors.AuthorizationError) as error:
            message = (
                f"Redis refuses to {what} ({error}); check user and password, and let an administrator allow them:"
                f" ACL SETUSER NAME on ~{{{self._options.prefix}:* &{{{self._options.prefix}:* +@all"
            )
            raise DiscoveryError(message) from error
        except (errors.RedisError, OSError, ValueError) as error:
            message = (
                f"Redis at {self._address()} does not do what it is asked, to {what}"
                f" ({type(error).__name__}: {error}); does it run, and is that its address?"
            )
            raise DiscoveryError(message) from error

    def _address(self) -> str:
        parts = urlsplit(self._options.url)
        return parts.netloc.rpartition("@")[2] or parts.path


def _cancelled() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


Strategy = RedisStrategy
