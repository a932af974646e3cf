"""What every strategy that asks a service promises when that fails; the tests of each such strategy inherit it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal, Protocol
from uuid import uuid4

import pytest

import foundation
from foundation import MemberDown, MemberEvent, MemberLeft, MemberStatus, MemberUnreachable
from foundation.cluster.starting import ClusterStart
from foundation.core.backoff import Backoff
from foundation.discovery import Announcement, DiscoveryOptions, DiscoveryStrategy, Peer
from foundation.discovery.runner import StrategyStatus
from tests.waiting import eventually

Fault = Literal["empty", "error", "hang", "half", "garbage"]
FAULTS: tuple[Fault, ...] = ("empty", "error", "hang", "half", "garbage")
PERIOD_S = 0.1
"""How often the strategies of these tests look."""
LOOKUPS = 6
"""Attempts that are made while the service fails: more than it takes until a strategy is started anew."""
OPTIONS = DiscoveryOptions(lookup_timeout_s=0.2, start_timeout_s=0.5, backoff=Backoff(first_s=0.05, most_s=30.0))
MARGIN_S = 0.5


class Source(Protocol):
    """The service that a strategy asks, as a test runs it."""

    async def list(self, addresses: Sequence[str]) -> None:
        """Answer with these nodes from now on; nothing to do where nodes announce themselves."""

    async def misbehave(self, fault: Fault | None) -> None:
        """Fail in one way from now on; None: do well again.

        ``empty``: answer that there is nobody; ``error``: answer with an error, or refuse connections; ``hang``: take
        connections and never answer; ``half``: leave nodes out; ``garbage``: answer with what nobody can decode.
        """


class FaultContract:
    """Two nodes that have found each other stay together, whatever becomes of the service, and it is asked again."""

    faults = FAULTS
    """Those that the service can have."""

    @pytest.fixture
    async def source(self) -> Any:
        """Return the service, which runs for one test: a :class:`Source`."""
        raise NotImplementedError

    def make(self, source: Any) -> DiscoveryStrategy:
        """Make a strategy that asks it every `PERIOD_S`."""
        raise NotImplementedError

    def listening(self, number: int) -> dict[str, Any]:  # noqa: ARG002 - for those who care
        """Return where a node is to listen, where that matters: ``host`` and ``port``."""
        return {}

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_nobody_is_disconnected(self, source: Source, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
        """Nobody is lost meanwhile, each log has one line, and all are found again a period after the end."""
        if fault not in self.faults:
            pytest.skip(f"that service cannot be made to answer {fault}")
        caplog.set_level(logging.INFO, "foundation.discovery")
        async with AsyncExitStack() as stack:
            cluster_name = f"faults-{uuid4().hex[:8]}"  # what an earlier test has left at the service expires some time
            looks = [Looks(self.make(source)) for _ in range(2)]
            nodes = [
                await stack.enter_async_context(_start(number, look, cluster_name, self.listening(number)))
                for number, look in enumerate(looks)
            ]
            await source.list([node.address for node in nodes])
            await eventually(lambda: all(_up(node) == 2 for node in nodes))
            await eventually(lambda: all(len(_status(node).peers) == 1 for node in nodes))
            lost = asyncio.ensure_future(_first_loss(nodes))
            caplog.clear()
            await source.misbehave(fault)
            begun = [look.begun for look in looks]
            await eventually(
                lambda: all(look.begun > was + LOOKUPS for look, was in zip(looks, begun, strict=True)), within_s=20
            )
            assert [_up(node) for node in nodes] == [2, 2]
            assert len(caplog.records) == 2, caplog.text
            await source.misbehave(None)
            loop = asyncio.get_running_loop()
            healed_at = loop.time()
            await eventually(lambda: all(_status(node).healthy and len(_status(node).peers) == 1 for node in nodes))
            assert loop.time() - healed_at < PERIOD_S * (1 + OPTIONS.poll_jitter) + OPTIONS.lookup_timeout_s + MARGIN_S
            assert not lost.done()
            lost.cancel()


class Looks(DiscoveryStrategy):
    """A strategy whose attempts are counted: lookups, and starts, which is all there is while they fail."""

    def __init__(self, strategy: DiscoveryStrategy) -> None:
        self._strategy = strategy
        self.poll_interval_s = strategy.poll_interval_s
        self.begun = 0
        self.wait_changed, self.stop = strategy.wait_changed, strategy.stop  # type: ignore[method-assign]

    async def start(self, announcement: Announcement) -> None:
        self.begun += 1
        await self._strategy.start(announcement)

    async def lookup(self) -> Iterable[Peer]:
        self.begun += 1
        return await self._strategy.lookup()


def _start(number: int, strategy: DiscoveryStrategy, cluster_name: str, listening: dict[str, Any]) -> ClusterStart:
    return foundation.start_cluster(
        name=f"node-{number}",
        cluster_name=cluster_name,
        cluster=strategy,
        cookie="tests",
        transport="memory",
        handle_signals=False,
        discovery=OPTIONS,
        **listening,
    )


def _up(node: foundation.Cluster) -> int:
    return sum(member.status is MemberStatus.UP for member in node.members())


def _status(node: foundation.Cluster) -> StrategyStatus:
    parts: Any = node._parts
    (status,) = parts.discovery.status().values()
    return status  # type: ignore[no-any-return]


async def _first_loss(nodes: Sequence[foundation.Cluster]) -> MemberEvent:
    """Return the first event that is not the news of a member."""

    async def watch(node: foundation.Cluster) -> MemberEvent:
        async for event in node.events():
            if isinstance(event, MemberUnreachable | MemberDown | MemberLeft):
                return event
        message = "the node stopped"
        raise AssertionError(message)

    watching = [asyncio.ensure_future(watch(node)) for node in nodes]
    try:
        done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in watching:
            task.cancel()
