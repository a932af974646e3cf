"""What nodes with large tables do when a test tells them."""

from __future__ import annotations

import asyncio
import time

from foundation import Cluster, Process
from foundation.cluster.assembly import Parts
from foundation.registry import NAMES, NameRow


def parts_of(cluster: Cluster) -> Parts:
    assert cluster._parts is not None
    return cluster._parts


class Echo(Process, wire_name="tests.tables.Echo"):
    async def echo(self, value: int) -> int:
        return value


async def fill(cluster: Cluster, rows: int) -> None:
    """Write rows as if so many processes of this node had names."""
    replication = parts_of(cluster).replication
    for number in range(rows):
        replication.write(f"{NAMES}a name like any other/{number}", NameRow(number, 1, 1))
        if number % 1000 == 0:
            await asyncio.sleep(0)
    await cluster.start_process(Echo, name="echo")


async def count(cluster: Cluster) -> int:
    return parts_of(cluster).names.count()


async def call_until_held(cluster: Cluster, rows: int) -> list[float]:
    """Call the node with the table again and again until all of it is here; return how long each call took."""
    names = parts_of(cluster).names
    node = next(member for member in cluster.members() if member.node_id != cluster.node.node_id)
    echo = await cluster.start_process(Echo, node=node)
    times = []
    while names.count() < rows:
        began = time.perf_counter()
        await echo.echo(1)
        times.append(time.perf_counter() - began)
    return times
