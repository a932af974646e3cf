"""Announcements for tests, and a way to wait for what a strategy sees."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from foundation.core.sources import new_node_id
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy


def announcement(cluster: str | None = None, *addresses: str) -> Announcement:
    node = new_node_id()
    return Announcement(
        node=node,
        name=f"node-{node[:4]}",
        cluster=cluster if cluster is not None else uuid.uuid4().hex,
        version="1.2.3",
        addresses=addresses or ("127.0.0.1:7001",),
    )


def peer_of(announced: Announcement) -> Peer:
    return Peer(announced.addresses, announced.node, announced.name)


async def until_seen(
    strategy: DiscoveryStrategy, wanted: Callable[[set[Peer]], bool], what: str, within_s: float = 10.0
) -> set[Peer]:
    """Look up again, at each change or ten times a second, until ``wanted`` holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        seen = set(await strategy.lookup())
        if wanted(seen):
            return seen
        if loop.time() > deadline:
            pytest.fail(f"waited {within_s} s for {what}; last seen: {seen}")
        try:
            async with asyncio.timeout(0.1):
                await strategy.wait_changed()
        except TimeoutError:
            pass
