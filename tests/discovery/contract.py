"""What every discovery strategy promises; the test class of each strategy inherits it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy
from tests.discovery.announcing import announcement, peer_of, until_seen

Start = Callable[[Announcement], Awaitable[DiscoveryStrategy]]


class StrategyContract:
    """Properties of a strategy that announces this node and finds others."""

    cluster = ""
    """That of the node that was started last, for :meth:`spoil`."""

    @pytest.fixture
    def make(self) -> Callable[[], DiscoveryStrategy]:
        """Return what makes strategies that can find each other."""
        raise NotImplementedError

    async def spoil(self) -> None:
        """Put garbage where the strategy looks."""

    @pytest.fixture
    async def start(self, make: Callable[[], DiscoveryStrategy]) -> AsyncIterator[Start]:
        """Return what starts a strategy that is stopped at the end of the test."""
        started: list[DiscoveryStrategy] = []

        async def start(announced: Announcement) -> DiscoveryStrategy:
            self.cluster = announced.cluster
            started.append(make())
            await started[-1].start(announced)
            return started[-1]

        yield start
        for strategy in started:
            await strategy.stop()

    async def test_finds_another_node(self, start: Start) -> None:
        """Two nodes of one cluster find each other, with identity, name and every address."""
        one = announcement(None, "127.0.0.1:7001", "[::1]:7002", "192.0.2.7:7001")
        two = announcement(one.cluster, "127.0.0.1:7003")
        first, second = await start(one), await start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        await until_seen(second, lambda seen: peer_of(one) in seen, "the first node")

    async def test_does_not_report_other_clusters(self, start: Start) -> None:
        """A node of another cluster is not seen, by the time a node of the own cluster is."""
        mine = announcement()
        strategy = await start(mine)
        other = announcement()
        await start(other)
        same = announcement(mine.cluster)
        await start(same)
        seen = await until_seen(strategy, lambda seen: peer_of(same) in seen, "a node of the same cluster")
        assert {peer.node for peer in seen} <= {mine.node, same.node}

    async def test_does_not_report_itself(self, start: Start) -> None:
        """A node that knows its identity to be announced does not take it for a peer."""
        mine = announcement()
        strategy = await start(mine)
        other = announcement(mine.cluster)
        await start(other)
        seen = await until_seen(strategy, lambda seen: peer_of(other) in seen, "the other node")
        assert mine.node not in {peer.node for peer in seen}

    async def test_forgets_after_a_clean_stop(self, start: Start) -> None:
        """A node that stopped is not found any more."""
        one, two = announcement(), announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        await second.stop()
        await until_seen(first, lambda seen: not seen, "nobody")

    async def test_who_only_looks_finds_others_and_is_not_found(
        self, make: Callable[[], DiscoveryStrategy], start: Start
    ) -> None:
        """Without announcing a node, those that are there and those that come are seen; these see each other only."""
        one = announcement()
        two, looker = announcement(one.cluster), replace(announcement(one.cluster), addresses=())
        first = await start(one)
        looking = make()
        looking.announces = False
        try:
            await looking.start(looker)
            await until_seen(looking, lambda seen: seen == {peer_of(one)}, "the node that was there")
            await start(two)
            await until_seen(looking, lambda seen: seen == {peer_of(one), peer_of(two)}, "the one that came")
            seen = await until_seen(first, lambda seen: peer_of(two) in seen, "the other node")
            assert looker.node not in {peer.node for peer in seen}
        finally:
            await looking.stop()
        assert looker.node not in {peer.node for peer in await first.lookup()}

    async def test_can_be_started_again(self, start: Start) -> None:
        """A strategy that was stopped can be started again and is found again."""
        one = announcement()
        two = announcement(one.cluster)
        first, second = await start(one), await start(two)
        await second.stop()
        await second.start(two)
        await until_seen(first, lambda seen: peer_of(two) in seen, "the second node again")

    async def test_stop_is_idempotent(self, make: Callable[[], DiscoveryStrategy]) -> None:
        """Stopping does no harm before a start, nor twice, and a lookup afterwards finds nobody or raises."""
        strategy = make()
        await strategy.stop()
        await strategy.start(announcement())
        await strategy.stop()
        await strategy.stop()
        assert set(await strategy.lookup()) == set()

    async def test_garbage_is_ignored(self, start: Start) -> None:
        """Garbage beside a good announcement hides nothing and breaks nothing."""
        one = announcement()
        two = announcement(one.cluster)
        first = await start(one)
        await self.spoil()
        await start(two)
        found: set[Peer] = await until_seen(first, lambda seen: peer_of(two) in seen, "the second node")
        assert found == {peer_of(two)}
