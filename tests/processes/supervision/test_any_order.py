"""Whatever happens to children, in whatever order: in the end each runs once, and none stays behind."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress

import pytest

from foundation import Backoff, Cluster, child, supervisor
from foundation.errors import FoundationError
from foundation.processes import Child, Supervisor
from foundation.processes.supervision import Strategy
from tests.processes.supervision.troupe import ActorFace, Diary, make_actor, on_a_node, pause

ROLES = [f"{tree}{number}" for tree in "abc" for number in range(3)]
STRATEGIES: list[Strategy] = ["one_for_one", "one_for_all", "rest_for_one"]


def forest(diary: Diary, chance: random.Random) -> list[Child[Supervisor]]:
    """Make a tree of three, each with a strategy of its own, that restarts often and gives up now and then."""
    cls = make_actor(diary)
    return [
        supervisor(
            *(child(cls, role, name=role, stop_timeout_s=0.5) for role in ROLES if role[0] == tree),
            strategy=chance.choice(STRATEGIES),
            max_restarts=chance.choice([1, 3, 10]),
            backoff=Backoff(first_s=0.05, most_s=0.5),
            name=tree,
        )
        for tree in "abc"
    ]


async def disturb(cluster: Cluster, diary: Diary, chance: random.Random) -> None:
    """Do one thing that may go wrong, to whoever it meets."""
    role = chance.choice(ROLES)
    branch = cluster.ref(Supervisor, role[0])
    with suppress(FoundationError, LookupError):
        match chance.randrange(6):
            case 0 | 1:
                await cluster.ref(ActorFace, role).crash()
            case 2:
                await cluster.stop_process(cluster.ref(ActorFace, role))
            case 3:
                await branch.restart(role)
            case 4:
                await cluster.stop_process(branch)
            case _:
                diary.broken ^= {role}


@pytest.mark.parametrize("seed", range(12))
def test_a_forest_recovers_from_anything(seed: int) -> None:
    """After crashes, stops, failing starts and requests at random, each child runs once, under its name."""
    chance = random.Random(seed)
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        trees = forest(diary, chance)
        top = await cluster.start_supervisor(*trees, max_restarts=10_000, backoff=Backoff(first_s=0.05, most_s=0.5))
        for _ in range(60):
            await disturb(cluster, diary, chance)
            await pause(chance.choice([0, 0, 0.01, 0.2, 1]))
            names = Counter(info.name for info in await cluster.processes())
            assert max(names.values(), default=0) <= 1, "only the top has no name"
        diary.broken.clear()
        await pause(30)
        for tree in "abc":  # what was started by request and failed stays stopped
            branch = cluster.ref(Supervisor, tree)
            for info in await branch.children():
                assert info.state in {"running", "stopped"}
                if info.state == "stopped":
                    assert info.why.startswith("it did not start"), info
                    await branch.restart(info.id)
        assert {info.name for info in await cluster.processes()} == {None, *"abc", *ROLES}
        assert all([await cluster.ref(ActorFace, role).add() == 1 for role in ROLES])
        await cluster.stop_process(top)
        assert await cluster.processes() == []
        families = cluster._running.host.families
        assert (families._parents, families._children) == ({}, {})

    on_a_node(story, seed=seed)
