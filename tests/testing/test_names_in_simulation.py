"""Names on whole simulated nodes that come, go, are killed and cut apart: one owner each, and one after each heal."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pytest

from foundation.cluster import Cluster
from foundation.core.identity import ProcessId
from foundation.errors import CallTimeout, NameTakenError, NodeDown
from foundation.registry import NAMES, NameEvent, NameReason, Names
from foundation.registry.rows import NameRow
from foundation.testing import SimulatedCluster, simulate
from foundation.testing.simulation.cluster import SimulatedNode

TIMEOUT_S = 25.0


def names_of(cluster: Cluster) -> Names:
    return cluster._running.names


async def register_all(cluster: Cluster, names: Sequence[str], first_serial: int) -> dict[str, str]:
    """Register many names at once, each for a process of its own, and say what came of each."""

    async def one(name: str, serial: int) -> str:
        try:
            await names_of(cluster).register(name, serial, timeout_s=TIMEOUT_S)
        except NameTakenError:
            return "taken"
        except CallTimeout:
            return "timeout"
        return "granted"

    serials = range(first_serial, first_serial + len(names))
    outcomes = await asyncio.gather(*map(one, names, serials))
    return dict(zip(names, outcomes, strict=True))


async def give_back(cluster: Cluster, prefix: str) -> None:
    names = names_of(cluster)
    for key in [key for key, _ in names._replica.own.values() if key.startswith(NAMES + prefix)]:
        names.unregister(key[1:])


def owners(cluster: SimulatedCluster) -> dict[str, list[str]]:
    """Return who believes to own each name, of all nodes that run."""
    found: dict[str, list[str]] = {}
    for node in cluster.nodes:
        if node.runs:
            for key, row in names_of(node.cluster)._replica.own.values():
                if type(row) is NameRow:
                    found.setdefault(key[1:], []).append(node.name)
    return found


@contextmanager
def watched_grants(cluster: SimulatedCluster) -> Generator[list[str]]:
    """Look at the rows of all other nodes that run whenever one is granted a name, at that very moment."""
    twice: list[str] = []
    granted = Names.granted

    def look(self: Names, number: int, key: str, epoch: int) -> bool:
        is_used = granted(self, number, key, epoch)
        others = [names_of(node.cluster) for node in cluster.nodes if node.runs]
        if is_used and any(key in dict(other._replica.own.values()) for other in others if other is not self):
            twice.append(f"{key[1:]} at {cluster.simulation.now:.3f} s")
        return is_used

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Names, "granted", look)
        yield twice


async def log_names(cluster: Cluster, log: list[NameEvent]) -> None:
    async with names_of(cluster).watch() as batches:
        async for batch in batches:
            log += batch


class Churn:
    """Two nodes of five that claim the same names at the same instant, while something happens to the others."""

    def __init__(self, cluster: SimulatedCluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.claims = 0
        self.happened: Counter[str] = Counter()
        self.log: list[NameEvent] = []

    async def round(self, number: int, names: int) -> None:
        first, second, victim = self.chance.sample(self.cluster.nodes[1:], 3)
        wanted = [f"{number}/{n}" for n in range(names)]
        happens = self.chance.choice([self.kill, self.leave, self.crash_of_a_claimant, self.restart])
        results = await asyncio.gather(
            first.run(register_all, wanted, 1),
            second.run(register_all, wanted, 1),
            happens(second if happens == self.crash_of_a_claimant else victim),
            return_exceptions=True,
        )
        told = [one for one, at in zip(results, (first, second), strict=False) if isinstance(one, dict) and at.runs]
        assert all(isinstance(one, dict | NodeDown) for one in results[:2]), results
        assert results[2] is None, results
        await self.cluster.until_agreed(20)
        await asyncio.sleep(0.2)
        self._check(wanted, told)
        self.claims += len(told) * names
        for node in (first, second):
            if node.runs:
                await node.run(give_back, f"{number}/")
        await self._all_run()

    def _check(self, wanted: Sequence[str], told: Sequence[dict[str, str]]) -> None:
        have = owners(self.cluster)
        for name in wanted:
            outcomes = [one[name] for one in told]
            assert "timeout" not in outcomes, name
            assert len(have.get(name, [])) == outcomes.count("granted"), (name, have.get(name), outcomes)
            assert outcomes.count("granted") <= 1
            if len(told) == 2:
                assert outcomes.count("granted") == 1, (name, outcomes)

    async def kill(self, node: SimulatedNode) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        self.happened["killed"] += 1
        node.kill()

    async def crash_of_a_claimant(self, node: SimulatedNode) -> None:
        await self.kill(node)

    async def leave(self, node: SimulatedNode) -> None:
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        self.happened["left"] += 1
        await node.leave()

    async def restart(self, node: SimulatedNode) -> None:
        node.kill()
        await asyncio.sleep(self.chance.uniform(0, 0.02))
        self.happened["came"] += 1
        await node.start()

    async def _all_run(self) -> None:
        for node in self.cluster.nodes:
            if not node.runs:
                await node.start()
        await self.cluster.until_agreed()


@pytest.mark.parametrize("seed", range(3))
def test_a_name_has_one_owner_while_nodes_come_and_go(seed: int) -> None:
    """Not two for a moment; each claim is answered; who watches sees no name go from one living owner to another."""

    async def scenario(cluster: SimulatedCluster) -> Churn:
        churn = Churn(cluster, random.Random(seed))
        watching = asyncio.ensure_future(
            cluster.nodes[0].host.run(lambda: log_names(cluster.nodes[0].cluster, churn.log))
        )
        with watched_grants(cluster) as twice:
            for number in range(20):
                await churn.round(number, names=60)
        watching.cancel()
        assert twice == []
        return churn

    churn = simulate(scenario, nodes=5, seed=seed)
    assert churn.claims > 1500
    assert churn.happened.total() == 20
    assert not [event for event in churn.log if event.reason in {NameReason.CONFLICT, NameReason.MOVED}]
    assert sum(event.reason is NameReason.REGISTERED for event in churn.log) > 400


@pytest.mark.parametrize("seed", range(3))
def test_after_each_heal_a_name_has_one_owner(seed: int) -> None:
    """The same for all nodes: the older claim. The loser is told once."""

    async def scenario(cluster: SimulatedCluster) -> None:
        chance = random.Random(seed)
        lost: Counter[tuple[str, str]] = Counter()
        for node in cluster.nodes:

            def note(name: str, _serial: int, _winner: ProcessId, at: str = node.name) -> None:
                lost[at, name] += 1

            names_of(node.cluster).lost_name = note
        for number in range(3):
            await one_partition(cluster, chance, number, lost)

    simulate(scenario, nodes=5, seed=seed)


async def one_partition(
    cluster: SimulatedCluster, chance: random.Random, number: int, lost: Counter[tuple[str, str]]
) -> None:
    nodes = chance.sample(cluster.nodes, 5)
    cut = chance.choice([1, 2])
    await cluster.partition(nodes[:cut], nodes[cut:])
    await nodes[0].until_sees(nodes[-1], "down", 40)
    await nodes[-1].until_sees(nodes[0], "down", 40)
    await asyncio.sleep(5)
    wanted = [f"{number}/{n}" for n in range(40)]
    older, younger = (nodes[0], nodes[-1]) if chance.random() < 0.5 else (nodes[-1], nodes[0])
    for node in (older, younger):
        outcomes = await node.run(register_all, wanted, 1)
        assert set(outcomes.values()) == {"granted"}
        await asyncio.sleep(0.01)  # stamps have milliseconds
    await cluster.heal()
    await cluster.until_agreed(60)
    await asyncio.sleep(chance.choice([5, 8]))
    have = owners(cluster)
    seen = [{name: names_of(node.cluster).known(name) for name in wanted} for node in nodes]
    for name in wanted:
        assert have[name] == [older.name]
        assert lost[younger.name, name] == 1
        assert lost[older.name, name] == 0
    assert all(one == seen[0] for one in seen)
    assert {owner.node for owner in seen[0].values() if owner is not None} == {older.node_id}
    await older.run(give_back, f"{number}/")
