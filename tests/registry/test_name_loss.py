"""Of two processes with one name one keeps it after a heal; the other's state is merged, and it ends or goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import foundation
from foundation import Cluster, EndReason
from foundation.core.identity import ProcessId
from foundation.testing import SimulatedCluster, simulate
from tests.waiting import eventually, turns_until


class Basket(foundation.Process, wire_name="lost.Basket"):
    """Merges what another one had."""

    def __init__(self, *things: str) -> None:
        self._things = list(things)
        self._merged = 0

    async def put(self, thing: str) -> None:
        self._things.append(thing)

    async def things(self) -> tuple[list[str], int]:
        return self._things, self._merged

    async def snapshot(self) -> list[str]:
        return self._things

    async def merge(self, state: list[str]) -> None:
        self._merged += 1
        self._things += state


class Modest(Basket, wire_name="lost.Modest"):
    """Goes on without its name."""

    lost: tuple[tuple[str, ProcessId, Any], ...] = ()

    async def name_lost(self, name: str, winner: Basket) -> None:
        Modest.lost += ((name, winner.process_id, await winner.things()),)


class Plain(foundation.Process, wire_name="lost.Plain"):
    """Has a name and nothing else."""


class Broken(Basket, wire_name="lost.Broken"):
    """Cannot tell what it has."""

    async def snapshot(self) -> list[str]:
        message = "no idea"
        raise LookupError(message)


async def start(cluster: Cluster, cls: Any, *things: str) -> ProcessId:
    started = await cluster.start_process(cls, *things, name="basket")
    if cls is not Plain:
        await cluster.register("basket too", started)
    return started.process_id  # type: ignore[no-any-return]


async def look(cluster: Cluster) -> tuple[list[str], int]:
    return await cluster.ref(Basket, "basket").things()


def conflict(first_class: Any, second_class: Any) -> tuple[Any, Any, Any, Any]:
    """Let a process of each class have the name in a partition; return the winner, what it has, the loser, its end."""

    async def scenario(cluster: SimulatedCluster) -> tuple[Any, Any, Any, Any]:
        first, second, third = cluster.nodes
        await cluster.partition([first, second], third)
        await first.until_sees(third, "down", 30)
        await third.until_sees(first, "down", 30)
        winner = await first.run(start, first_class, *(() if first_class is Plain else ("apple",)))
        await turns_until(asyncio.get_running_loop().time() + 0.01)  # stamps count milliseconds
        loser = await third.run(start, second_class, "pear")
        ended: list[Any] = []
        monitor = third.host.run(lambda: watch(third.cluster, loser, ended))
        await cluster.heal()
        await cluster.until_agreed(30)
        await eventually(lambda: ended or Modest.lost, within_s=60)
        assert all(node.cluster.whereis("basket") == winner for node in cluster.nodes)
        monitor.cancel()
        things = None if first_class is Plain else await second.run(look)
        return winner, things, loser, ended[0] if ended else None

    Modest.lost = ()
    return simulate(scenario)


async def watch(cluster: Cluster, process_id: ProcessId, ended: list[Any]) -> None:
    ended.append(await cluster.monitor(process_id))


def test_the_loser_is_merged_and_stopped() -> None:
    """The older claim keeps the name; it merges the other's state once, although two names were lost to it."""
    winner, (things, merged), loser, ended = conflict(Basket, Basket)
    assert (sorted(things), merged) == (["apple", "pear"], 1)
    assert (ended.process_id, ended.reason) == (loser, EndReason.LOST_NAME)
    assert ended.text in {f"lost the name {name!r} to {winner}" for name in ("basket", "basket too")}
    assert not ended.is_normal


def test_a_handler_lets_the_loser_go_on() -> None:
    """With `name_lost` a process is told, after its state was merged, and lives on without the names."""
    winner, (things, merged), _, ended = conflict(Basket, Modest)
    assert (sorted(things), merged, ended) == (["apple", "pear"], 1, None)
    assert Modest.lost[0][:2] in {("basket", winner), ("basket too", winner)}
    assert sorted(Modest.lost[0][2][0]) == ["apple", "pear"]


def test_who_cannot_merge_wins_all_the_same() -> None:
    """A winner without `merge` keeps the name, and the loser is stopped."""
    _, _, loser, ended = conflict(Plain, Basket)
    assert (ended.process_id, ended.reason) == (loser, EndReason.LOST_NAME)


def test_an_error_in_the_snapshot_does_not_keep_the_loser() -> None:
    """A loser that cannot tell what it has is stopped like any other, and the error is in the log."""
    _, (things, merged), _, ended = conflict(Basket, Broken)
    assert (things, merged, ended.reason) == (["apple"], 0, EndReason.LOST_NAME)
