"""The fallback begins where the others find nobody, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from foundation.discovery.discovery import Discovery
from foundation.discovery.peers import Peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import DiscoveryError
from tests.discovery.test_discovery import ME, OTHER, QUICK, Seen

OPTIONS = replace(QUICK, fallback_after_s=0.01)


class Finds(DiscoveryStrategy):
    """Returns the same at each lookup, or fails."""

    def __init__(self, *peers: Peer, fails: bool = False) -> None:
        self.peers = peers
        self.fails = fails
        self.lookups = 0

    async def lookup(self) -> Iterable[Peer]:
        self.lookups += 1
        if self.fails:
            message = "the service is away"
            raise DiscoveryError(message)
        return self.peers


@pytest.mark.parametrize("primary", [Finds(), Finds(fails=True)])
async def test_it_begins_when_the_others_find_nobody(primary: Finds, caplog: pytest.LogCaptureFixture) -> None:
    """Whether they find nothing or fail: the fallback is asked too, which one line says, and they are asked on."""
    seen, fallback = Seen(), Finds(OTHER)
    async with Discovery({"primary": primary}, ME, seen, OPTIONS, fallback={"second": fallback}) as discovery:
        await seen.until(lambda: ("second", frozenset({OTHER})) in seen.found, "the fallback")
        before = primary.lookups
        await seen.until(lambda: primary.lookups > before, "the primary to go on")
        assert discovery.status()["second"].healthy
    said = [record.getMessage() for record in caplog.records if "asked too" in record.getMessage()]
    assert said == ["discovery: primary found nobody; second is asked too"]


async def test_it_does_not_begin_while_somebody_is_found() -> None:
    """As long as one strategy has found somebody, the fallback is neither started nor asked."""
    seen, fallback, empty = Seen(), Finds(OTHER), Finds()
    async with Discovery(
        {"first": Finds(OTHER), "second": empty}, ME, seen, OPTIONS, fallback={"third": fallback}
    ) as discovery:
        await seen.until(lambda: empty.lookups >= 10, "ten lookups")
        assert discovery.status()["third"].healthy is None
    assert fallback.lookups == 0
    assert len(asyncio.all_tasks()) == 1
