"""All nodes are restarted, one after the other, under load: no call fails, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter

import pytest

import foundation
from foundation import spec
from foundation.distribution import Placement
from foundation.errors import FoundationError
from foundation.testing import ProcessCluster
from tests.system.rolling import Ledger

LEDGERS = 100
CALLS_PER_S = 1000
_EVERY_S = 0.01


class Load:
    """So many calls a second, spread over all ledgers."""

    def __init__(self, cluster: foundation.Cluster, names: list[str]) -> None:
        self.entered: Counter[str] = Counter()
        self.failures: list[str] = []
        self.slowest_s = 0.0
        self._cluster = cluster
        self._names = itertools.cycle(names)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        began, issued = loop.time(), 0
        async with asyncio.TaskGroup() as calls:
            while not self.is_over:
                due = int((loop.time() - began) * CALLS_PER_S)
                for _ in range(due - issued):
                    calls.create_task(self._call(next(self._names)))
                issued = due
                tick = asyncio.Event()
                loop.call_later(_EVERY_S, tick.set)
                await tick.wait()

    is_over = False

    async def _call(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await self._cluster.ref(Ledger, name).enter()
        except FoundationError as error:
            self.failures.append(f"{name}: {type(error).__name__}: {error}")
        else:
            self.entered[name] += 1
        self.slowest_s = max(self.slowest_s, loop.time() - began)


@pytest.mark.timeout(120)
async def test_a_rolling_restart_of_five_nodes_fails_no_call_and_loses_no_state() -> None:
    """Each node leaves and is started again while 1,000 calls a second go on; every ledger has each entry once."""
    names = [f"ledger/{number}" for number in range(LEDGERS)]
    async with ProcessCluster(5, ["tests.system.rolling"], roles=("ledgers",), log_level="WARNING") as nodes:
        peers = [node.address for node in nodes.nodes]
        async with foundation.start_cluster(
            name="caller", cluster="static", cookie="a test", peers=peers, host="127.0.0.1", port=0
        ) as cluster:
            placement = Placement(roles=("ledgers",))
            await cluster.children.start_all({name: spec(Ledger) for name in names}, placement=placement)
            load = Load(cluster, names)
            async with asyncio.TaskGroup() as group:
                calling = group.create_task(load.run())
                for node in nodes.nodes:
                    await node.leave()
                    await node.start()
                    await eventually_up(cluster, node.name, node.node_id)
                load.is_over = True
                await calling
            found = {name: await cluster.ref(Ledger, name).enter() - 1 for name in names}
    sys.stdout.write(f"{load.entered.total()} calls, the slowest {load.slowest_s * 1000:.0f} ms\n")
    assert load.failures == []
    assert found == dict(load.entered)
    assert load.entered.total() > CALLS_PER_S


async def eventually_up(cluster: foundation.Cluster, name: str, node_id: str) -> None:
    """Wait until a node that was started again is a member."""
    async with asyncio.timeout(20), cluster.events() as events:
        async for event in events:
            if isinstance(event, foundation.MemberUp) and event.member.node_id == node_id:
                return
    message = f"{name} did not come back"
    raise AssertionError(message)
