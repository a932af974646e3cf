"""What happens to clusters under test, written once: each scenario runs on simulated nodes, on processes and on hosts.

It gives what became of the cluster: who is in, as each node sees it, and what each has said about each other one since
the scenario began, as far as that is determined.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from foundation.testing import TestCluster, TestNode
from tests.testing_real import on_nodes

Pair = tuple[str, str]
"""Who says something, and of whom."""


@dataclass
class Outcome:
    """What became of a cluster."""

    members: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    """By node: names and statuses."""
    said: dict[Pair, list[str]] = field(default_factory=dict[Pair, list[str]])
    """The statuses that one node has said another one has, in order."""
    answers: list[object] = field(default_factory=list[object])
    """What the functions returned that the scenario ran."""


Scenario = Callable[[TestCluster], Awaitable[Outcome]]


class Witness:
    """Listens to what nodes say, from the moment it is made."""

    def __init__(self, cluster: TestCluster) -> None:
        self._cluster = cluster
        self._before = {node: len(node.sightings) for node in cluster.nodes}

    async def outcome(self, *answers: object, forgot: Iterable[TestNode] = ()) -> Outcome:
        """Return what became of the cluster; who was started again has forgotten what it said before."""
        outcome = Outcome(answers=list(answers))
        for node in self._cluster.nodes:
            outcome.members[node.name] = sorted(await node.members())
            for seen in () if node in forgot else node.sightings[self._before[node] :]:
                if seen.status != "joining":  # who is quick is up when it is seen first
                    outcome.said.setdefault((node.name, seen.name), []).append(seen.status)
        return outcome


async def kill_and_restart(cluster: TestCluster) -> Outcome:
    """One is killed; it is down for the others; a new one of that name takes its place."""
    witness, (*others, victim) = Witness(cluster), cluster.nodes
    killed = victim.node_id
    victim.kill()
    for node in others:
        await node.until_sees(victim, "down")
    await cluster.until_agreed()
    await victim.start()
    await cluster.until_agreed()
    assert victim.node_id != killed
    return await witness.outcome(forgot=[victim])


async def leave_and_return(cluster: TestCluster) -> Outcome:
    """One leaves in order; a new one of that name takes its place."""
    witness, (first, leaver, *others) = Witness(cluster), cluster.nodes
    await leaver.leave()
    for node in (first, *others):
        await node.until_sees(leaver, "left")
    await cluster.until_agreed()
    await leaver.start()
    await cluster.until_agreed()
    return await witness.outcome(forgot=[leaver])


async def pause_past_the_lease(cluster: TestCluster) -> Outcome:
    """One stands still until the others have noticed, and goes on."""
    witness, (*others, paused) = Witness(cluster), cluster.nodes
    paused.pause()
    for node in others:
        await node.until_sees(paused, "unreachable")
    paused.resume()
    await cluster.until_agreed()
    return await witness.outcome()


async def cut_off_and_heal(cluster: TestCluster) -> Outcome:
    """One of them is cut off from all others until both sides have noticed."""
    witness, (first, *others) = Witness(cluster), cluster.nodes
    await cluster.partition(first, others)
    for node in others:
        await node.until_sees(first, "unreachable")
        await first.until_sees(node, "unreachable")
    await cluster.heal()
    await cluster.until_agreed()
    return await witness.outcome()


async def calls_through_a_cut(cluster: TestCluster) -> Outcome:
    """A named process goes on where it is; who is cut off from it is not answered in time, and is after the heal."""
    witness, (first, second, *others) = Witness(cluster), cluster.nodes
    await second.run(on_nodes.start_tally, "tally")
    before = [await node.run(on_nodes.add, "tally", 1) for node in cluster.nodes]
    await cluster.partition(first, [second, *others])
    for node in (second, *others):
        await first.until_sees(node, "unreachable")
        await node.until_sees(first, "unreachable")
    apart = await first.run(on_nodes.try_to_add, "tally", 1, 0.5)
    there = await second.run(on_nodes.add, "tally", 10)
    await cluster.heal()
    await cluster.until_agreed()
    after = await first.run(on_nodes.add, "tally", 100)
    assert after in {113, 114}, "nobody knows what became of a call that timed out"
    return await witness.outcome(before, apart, there)


async def calls_through_a_restart(cluster: TestCluster) -> Outcome:
    """A process ends with its node, whose successor may start one of the same name."""
    witness, (first, *_, last) = Witness(cluster), cluster.nodes
    await last.run(on_nodes.start_tally, "tally")
    before = await first.run(on_nodes.add, "tally", 5)
    last.kill()
    await first.until_sees(last, "down")
    lost = await first.run(on_nodes.try_to_add, "tally", 1, 2.0)
    await last.start()
    await cluster.until_agreed()
    await last.run(on_nodes.start_tally, "tally")
    after = await first.run(on_nodes.add, "tally", 1)
    return await witness.outcome(before, lost, after, forgot=[last])
