"""Look for nodes in one way, once, as nobody: without announcing a node."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from foundation.cluster.assembly import make_configured
from foundation.config import Config
from foundation.core.sources import new_node_id
from foundation.core.tasks import TaskScope
from foundation.core.version import __version__
from foundation.discovery import Announcement, DiscoveryStrategy, Peer
from foundation.discovery.bounded import BoundedCallError, BoundedCalls
from foundation.discovery.peers import checked_peer, format_address, parse_address
from foundation.errors import FabricError, RefusedError
from foundation.fabric.door import knock
from foundation.fabric.handshake import Identity
from foundation.fabric.tls import Tls

_SETTLE_S = 0.5
"""Once somebody was found, seconds of quiet until that is all."""

_KNOCK_S = 2.0
_MOST_KNOCKS = 50


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who was found, and what is at the door."""

    peer: Peer
    name: str | None
    node: str | None
    answers: bool | None
    """Whether a node of this cluster opened; None when nobody knocked."""

    door: str
    """What came of knocking, in words."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as for JSON."""
        return {
            "addresses": list(self.peer.addresses),
            "node": self.node,
            "name": self.name,
            "answers": self.answers,
            "door": self.door,
        }


class Looker:
    """Looks with one strategy; a context manager, within the time limits that a node has too."""

    def __init__(self, strategy: DiscoveryStrategy, config: Config) -> None:
        """Prepare; :class:`BoundedCallError` of each method says what went wrong."""
        strategy.announces = False
        strategy.use_cookie(config.cookie)
        self._strategy = strategy
        self._options = config.discovery
        self._announcement = Announcement(
            new_node_id(), config.name, config.cluster_name, __version__, _addresses(config)
        )
        self._tasks = TaskScope("looking")
        self._calls = BoundedCalls(self._tasks, self._options)

    async def __aenter__(self) -> Self:
        try:
            await self._calls.call(self._start, "start", self._options.start_timeout_s)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        await self._close()

    async def look(self) -> frozenset[Peer]:
        """Look once."""
        return await self._calls.call(self._lookup, "look up", self._options.lookup_timeout_s)

    async def look_for(self, patience_s: float) -> frozenset[Peer]:
        """Look until somebody is found and no more come, or for ``patience_s`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_s
        found = await self.look()
        while (left_s := deadline - loop.time()) > 0:
            with suppress(BoundedCallError):  # nothing has changed
                await self._calls.call(self._strategy.wait_changed, "wait", min(left_s, _SETTLE_S))
            before, found = found, await self.look()
            if found and found == before:
                break
        return found

    async def _start(self) -> None:
        await self._strategy.start(self._announcement)

    async def _lookup(self) -> frozenset[Peer]:
        found = await self._strategy.lookup()
        return frozenset(checked_peer(peer) for peer in islice(found, self._options.most_peers))

    async def _close(self) -> None:
        with suppress(BoundedCallError):
            await self._calls.call(self._stop, "stop", self._options.stop_timeout_s)
        await self._tasks.close(within_s=self._options.grace_s)

    async def _stop(self) -> None:
        await self._strategy.stop()


def looker(strategy: str | DiscoveryStrategy, config: Config) -> Looker:
    """Return what looks with a configured strategy; :class:`ConfigurationError` when that cannot be made."""
    return Looker(make_configured(strategy, config)[1], config)


async def knock_at(peers: Iterable[Peer], config: Config) -> list[Found]:
    """Knock at the doors of all, at some of them at once, to learn who lives there."""
    me = Identity(config.cluster_name, new_node_id(), config.name, __version__, ())
    tls = Tls(config.fabric.tls) if config.fabric.tls else None
    room = asyncio.Semaphore(_MOST_KNOCKS)

    async def knock_once(peer: Peer) -> Found:
        async with room:
            return await _knock(peer, me, config, tls)

    ordered = sorted(peers, key=lambda peer: (peer.name or "", peer.addresses))
    async with asyncio.TaskGroup() as group:
        knocking = [group.create_task(knock_once(peer)) for peer in ordered]
    return [each.result() for each in knocking]


async def _knock(peer: Peer, me: Identity, config: Config, tls: Tls | None) -> Found:
    told = "nobody answers"
    for address in peer.addresses:
        try:
            identity = await knock(parse_address(address), me, config.cookie, _KNOCK_S, tls)
        except RefusedError as error:
            return Found(peer, peer.name, peer.node, answers=False, door=f"refuses: {error.reason}")
        except FabricError as error:
            told = str(error)
        else:
            return Found(peer, identity.name, identity.node, answers=True, door=f"answers, version {identity.version}")
    return Found(peer, peer.name, peer.node, answers=False, door=told)


def _addresses(config: Config) -> tuple[str, ...]:
    """Return where the door of a node would be, if that is known before it is there."""
    port = config.fabric.port
    return (format_address(config.fabric.host, port),) if port else ()
