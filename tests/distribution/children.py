"""Children that tests start, and what they do at the nodes of a simulated cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import foundation
from foundation import Process, spec
from foundation.cluster import Cluster
from foundation.core.identity import NodeId, ProcessId
from foundation.distribution import ChildReport
from foundation.errors import ProcessCrash
from foundation.processes import EndReason
from foundation.registry.rows import NameRow
from foundation.testing import SimulatedCluster, SimulatedNode

_LOOK_S = 0.05
BROKEN: set[str] = set()
"""Nodes at which a `Fragile` does not begin."""


class Counter(Process, wire_name="tests.distribution.Counter"):
    """Counts, and takes what it has counted with it."""

    def __init__(self, count: int = 0) -> None:
        self.count = count
        self.noted: list[int] = []

    async def add(self, by: int = 1) -> int:
        self.count += by
        return self.count

    @foundation.idempotent
    async def value(self) -> int:
        return self.count

    async def note(self, number: int) -> None:
        self.noted.append(number)

    async def notes(self) -> list[int]:
        return self.noted

    async def nap(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def crash(self) -> None:
        message = "as it was told to"
        raise ProcessCrash(message)

    async def snapshot(self) -> tuple[int, list[int]]:
        return self.count, self.noted

    async def restore(self, state: tuple[int, list[int]]) -> None:
        self.count, self.noted = state

    async def merge(self, state: tuple[int, list[int]]) -> None:
        self.count += state[0]


class Fragile(Process, wire_name="tests.distribution.Fragile"):
    """Does not begin everywhere."""

    def __init__(self) -> None:
        if self.process_id.node in BROKEN:
            message = "not here"
            raise RuntimeError(message)

    async def where(self) -> str:
        return self.process_id.node


def parts(cluster: Cluster) -> Any:
    return cluster._parts


async def start(cluster: Cluster, name: str, count: int = 0) -> None:
    await cluster.children.start(Counter, count, name=name)


async def start_many(cluster: Cluster, many: int) -> None:
    await cluster.children.start_all({f"c{number}": spec(Counter, number) for number in range(many)})


async def add(cluster: Cluster, name: str, by: int = 1) -> int:
    return await cluster.ref(Counter, name).add(by)


async def value(cluster: Cluster, name: str) -> int:
    return await foundation.options(cluster.ref(Counter, name), timeout_s=20).value()


async def migrate(cluster: Cluster, name: str, node: str) -> None:
    await cluster.migrate(name, node)


async def migrate_within(cluster: Cluster, name: str, node: str, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await cluster.migrate(name, node)


async def end_at_once(cluster: Cluster, name: str) -> None:
    """Have the process of a child end as if it had crashed, without the error in the log."""
    row = parts(cluster).names.held_child(name)
    parts(cluster).host.end(row.serial, "it was told to", EndReason.CRASHED)


async def nap(cluster: Cluster, name: str, seconds: float) -> None:
    await cluster.ref(Counter, name).nap(seconds)


async def note_all(cluster: Cluster, name: str, many: int, pause_s: float) -> None:
    """Send numbered casts, one after the other."""
    for number in range(many):
        await foundation.cast(cluster.ref(Counter, name).note, number)
        await asyncio.sleep(pause_s)


async def notes(cluster: Cluster, name: str) -> list[int]:
    return await cluster.ref(Counter, name).notes()


async def stop(cluster: Cluster, name: str) -> None:
    await cluster.stop_process(cluster.ref(Counter, name))


async def drain(cluster: Cluster, node: NodeId) -> int:
    return await cluster.drain(node)


async def undrain(cluster: Cluster, node: NodeId) -> None:
    await cluster.undrain(node)


async def reports(cluster: Cluster) -> list[ChildReport]:
    return await cluster.children.on(cluster.node.node_id)


def rows(node: SimulatedNode, name: str) -> list[tuple[NodeId, NameRow]]:
    found: list[tuple[NodeId, NameRow]] = parts(node.cluster).names.children.rows("n" + name)
    return found


def live(cluster: SimulatedCluster) -> list[SimulatedNode]:
    return [node for node in cluster.nodes if node.runs]


async def owner(cluster: SimulatedCluster, name: str) -> SimulatedNode:
    """Return the node at which the one process of a child runs, on which all nodes agree in a moment."""
    await asyncio.sleep(2 * _LOOK_S)
    places = processes(cluster, name)
    assert len(places) == 1, places
    assert {node.cluster.whereis(name) for node in live(cluster)} == set(places)
    return next(node for node in live(cluster) if node.node_id == places[0].node)


def processes(cluster: SimulatedCluster, name: str) -> list[ProcessId]:
    """Return all processes of a child."""
    hosts = [parts(node.cluster).host for node in live(cluster)]
    return [info.process_id for host in hosts for info in host.processes() if info.name == name]


def others(cluster: SimulatedCluster, *nodes: SimulatedNode) -> list[SimulatedNode]:
    return [node for node in live(cluster) if node not in nodes]


async def until(look: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait in virtual time."""
    for _ in range(int(timeout_s / _LOOK_S)):
        if look():
            return
        await asyncio.sleep(_LOOK_S)
    assert look()
