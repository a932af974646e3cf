"""Restart a node again and again, in simulation: ``PYTHONHASHSEED=0 python -m tests.simulate.restarts 10000``."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from foundation.cluster import Cluster
from foundation.replication.replica import Replica, encode
from foundation.testing import SimulatedCluster, simulate

PAUSE_S = 1.0


class Held(NamedTuple):
    """What a node that stays holds of those that came and went."""

    tables: int
    forgotten: int
    digest_bytes: int
    names: int
    objects: int


async def take_a_name(cluster: Cluster, name: str) -> None:
    """Register a name at a node, as a process of it."""
    assert cluster._parts is not None
    await cluster._parts.names.register(name, 1)


def held(cluster: Cluster) -> Held:
    """Look at what a node holds."""
    assert cluster._parts is not None
    replica: Replica = cluster._parts.replication.replica
    gc.collect()
    return Held(
        len(replica.tables),
        len(replica._forgotten),
        len(encode(replica.digest(answer_wanted=True))),
        cluster._parts.names.count(),
        len(gc.get_objects()),
    )


def restart(
    times: int, samples: int = 10, tell: Callable[[str], object] = lambda _line: None, **options: Any
) -> list[Held]:
    """Kill a node of three, or let it leave, and start it again, so many times; return what another one held."""

    async def scenario(cluster: SimulatedCluster) -> list[Held]:
        stays, _, restarts = cluster.nodes
        seen: list[Held] = []
        for number in range(times):
            await restarts.run(take_a_name, f"worker/{number}")
            if number % 2:
                restarts.kill()
            else:
                await restarts.leave()
            await cluster.until_agreed()
            await restarts.start()
            await cluster.until_agreed()
            await asyncio.sleep(PAUSE_S)
            if number % (times // samples) == times // samples - 1:
                seen.append(held(stays.cluster))
                tell(f"{number + 1}: {seen[-1]}")
        return seen

    return simulate(scenario, 3, seed=1, **options)


if __name__ == "__main__":
    restart(int(sys.argv[1]), tell=lambda line: sys.stdout.write(f"{line}\n"))
