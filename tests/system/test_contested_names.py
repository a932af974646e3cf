"""Two nodes want the same names at the same instant, in a whole cluster: no name ever has two owners."""

from __future__ import annotations

import asyncio
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from foundation.core.identity import NodeId
from foundation.errors import NodeDown
from foundation.testing import ProcessCluster, ProcessNode
from tests.system import on_names
from tests.system.on_names import Log, Outcome
from tests.testing_real import on_nodes
from tests.waiting import turns_until

NAMES = 10_000
DEATHS = 10
AT_ONCE = 20
PREFIX = "contested:"
MODULES = ["tests.system.on_names", "tests.testing_real.on_nodes"]
SOON_S = 0.01
"""Until a batch begins: long enough that both nodes have heard of it."""

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs signals that stop and kill a program"),
    pytest.mark.timeout(120),
]


def offenses(log: Log) -> list[str]:
    """Return where a log shows a name that had two owners, or changed its owner without being free between."""
    owner: dict[str, str] = {}
    found = [f"{name} had two owners" for name in log["shared"]]
    for name, reason, now, _ in log["events"]:
        if reason == "registered":
            if name in owner:
                found.append(f"{name} was registered by {now} while {owner[name]} had it")
            owner[name] = now
        elif reason in {"unregistered", "node_down"}:
            owner.pop(name, None)
        else:
            found.append(f"{name}: {reason} to {now}")
    return found


@asynccontextmanager
async def watched(onlooker: ProcessNode, ender: ProcessNode, prefix: str) -> AsyncGenerator[Log]:
    """Have one node write down what happens to names, until the other one ends that; the log is filled then."""
    log = Log(events=[], shared=[])
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(onlooker.run(on_names.watch, prefix))
        await ender.run(on_names.await_onlooker)
        yield log
        await ender.run(on_names.end_of, prefix)
        log.update(await writing)


@dataclass
class Unrest:
    """Nodes that come and go while names are claimed."""

    over: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a batch of claims begins."""
    done: Counter[str] = field(default_factory=Counter)
    kills: dict[str, float] = field(default_factory=dict)
    """Who was killed, and when by the clock on the wall."""

    @asynccontextmanager
    async def among(self, leaving: ProcessNode, dying: ProcessNode) -> AsyncGenerator[None]:
        """Have one node leave and join, and another one die and join, until the block ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.leave_and_join(leaving))
            group.create_task(self.die_and_join(dying))
            yield
            self.over = True
            self.begun.set()

    async def leave_and_join(self, node: ProcessNode) -> None:
        while not self.over:
            await node.leave()
            self.done["left"] += 1
            await self._start(node)

    async def die_and_join(self, node: ProcessNode) -> None:
        """Die in the middle of a batch of claims, again and again."""
        chance = random.Random(1)
        loop = asyncio.get_running_loop()
        while not self.over:
            self.begun.clear()
            await self.begun.wait()
            if self.over:
                return
            await turns_until(loop.time() + chance.uniform(0, SOON_S))
            self.kills[node.node_id] = time.time()
            node.kill()
            self.done["killed"] += 1
            await self._start(node)

    async def _start(self, node: ProcessNode) -> None:
        await node.start()
        self.done["joined"] += 1


@dataclass
class Contest:
    """Two nodes that claim all names, batch after batch, each batch at one instant, and what each was told."""

    of_a: list[Outcome] = field(default_factory=list)
    of_b: list[Outcome] = field(default_factory=list)
    batches_s: list[float] = field(default_factory=list)
    """How long each batch took."""

    @property
    def outcomes(self) -> list[Outcome]:
        return self.of_a + self.of_b

    @property
    def winners(self) -> dict[str, str]:
        return {outcome["name"]: outcome["owner"] for outcome in self.outcomes if outcome["won"]}

    @property
    def wins(self) -> list[int]:
        return [sum(outcome["won"] for outcome in outcomes) for outcomes in (self.of_a, self.of_b)]

    async def run(self, a: ProcessNode, b: ProcessNode, begun: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        for first in range(0, NAMES, AT_ONCE):
            names = [f"{PREFIX}{number}" for number in range(first, first + AT_ONCE)]
            other_way = names[::-1] if first // AT_ONCE % 2 else names
            at = time.time() + SOON_S
            loop.call_later(SOON_S, begun.set)
            told = await asyncio.gather(a.run(on_names.claim, names, at), b.run(on_names.claim, other_way, at))
            self.batches_s.append(time.time() - at)
            self.of_a += told[0]
            self.of_b += told[1]

    def orphans(self, kills: dict[str, float]) -> int:
        """Count the claims that were open when the home that they had been made at was killed."""
        return sum(one["answered_at"] > kills.get(str(one["home"]), math.inf) for one in self.outcomes)

    def summary(self, unrest: Unrest) -> str:
        retries = sum(outcome["retries"] for outcome in self.outcomes)
        done = ", ".join(f"{count} {what}" for what, count in unrest.done.items())
        slowest = sorted(self.batches_s)
        return (
            f"{NAMES} names: {self.wins[0]} and {self.wins[1]} won; members: {done};"
            f" {self.orphans(unrest.kills)} claims open at a home that was killed; {retries} retries;"
            f" {sum(self.batches_s):.1f} s, a batch p50 {slowest[len(slowest) // 2] * 1e3:.0f} ms, p95"
            f" {slowest[len(slowest) * 95 // 100] * 1e3:.0f} ms, slowest {slowest[-1]:.2f} s\n"
        )


async def test_no_name_has_two_winners_while_nodes_come_and_go() -> None:
    """10,000 names, claimed by two nodes at the same instant: one winner each, and a third node never sees two."""
    unrest, contest = Unrest(), Contest()
    async with ProcessCluster(5, MODULES, run_timeout_s=90.0) as cluster:
        a, b, c, d, e = cluster.nodes
        async with watched(c, a, PREFIX) as log:
            async with unrest.among(leaving=d, dying=e):
                await contest.run(a, b, unrest.begun)
            await asyncio.gather(a.run(on_names.sync), b.run(on_names.sync))
            known = await asyncio.gather(*(node.run(on_names.owners, PREFIX) for node in (a, b, c)))
    sys.stdout.write(contest.summary(unrest))
    winners = contest.winners
    assert sum(contest.wins) == len(winners) == NAMES
    assert all(outcome["owner"] == winners[outcome["name"]] for outcome in contest.outcomes)
    assert known == [winners] * 3
    assert offenses(log) == []
    assert {name: now for name, _, now, _ in log["events"]} == winners
    assert min(contest.wins) > NAMES * 0.3
    assert min(unrest.done[what] for what in ("left", "killed")) >= 5
    assert unrest.done["joined"] >= 10
    assert contest.orphans(unrest.kills) >= 20


class Ending(StrEnum):
    """How a home ends about a grant that it has made."""

    UNSENT = "it dies before the grant leaves"
    SENT = "it dies when the grant has left"
    UNSPREAD = "it dies when the grantee has taken the grant, and stands still before anybody hears of it"
    LATE = "it dies when the grant has left, which the grantee hears only in the next view"


async def home_dies(
    cluster: ProcessCluster, ending: Ending, name: str, group: asyncio.TaskGroup
) -> tuple[Outcome, Outcome]:
    """Have the home die about a grant to the first node; the second one claims the same name at once."""
    a, b, _, home = cluster.nodes
    if ending is Ending.UNSPREAD:
        await a.run(on_names.stand_still_at_grant, name)
        claim_of_a = group.create_task(a.run(on_names.claim, [name], 0.0))
        async with asyncio.timeout(10):
            await asyncio.to_thread(os.waitid, os.P_PID, a.pid, os.WSTOPPED | os.WNOWAIT)
        home.kill()
    else:
        if ending is Ending.LATE:
            await a.run(on_names.hear_grant_late, name, NodeId(home.node_id))
        await home.run(on_names.die_at_grant, name, NodeId(a.node_id), is_sent=ending is not Ending.UNSENT)
        claim_of_a = group.create_task(a.run(on_names.claim, [name], 0.0))
        with pytest.raises(NodeDown):
            await home.run(on_nodes.never)
    claim_of_b = group.create_task(b.run(on_names.claim, [name], 0.0))
    if ending is Ending.UNSPREAD:
        await b.until_sees(home, "unreachable")
        a.resume()
    (of_a,), (of_b,) = await claim_of_a, await claim_of_b
    if ending is Ending.LATE:
        await a.until_logged(f"late: {name}")
    return of_a, of_b


@pytest.mark.parametrize("ending", Ending, ids=lambda ending: ending.name.lower())
async def test_a_home_that_dies_about_a_grant_leaves_one_winner(ending: Ending) -> None:
    """The home of a name is killed between a grant and its spreading, another node claims it at once: one winner."""
    prefix = f"{ending.name.lower()}:"
    wins: Counter[str] = Counter()
    winners: dict[str, str] = {}
    async with ProcessCluster(4, MODULES, run_timeout_s=90.0) as cluster:
        a, b, c, home = cluster.nodes
        async with watched(c, a, prefix) as log, asyncio.TaskGroup() as group:
            for number in range(DEATHS):
                if not home.runs:
                    await home.start()
                await cluster.until_agreed()
                heir = (b, c, a)[number % (2 if ending is Ending.LATE else 3)]
                name = await a.run(on_names.name_of, NodeId(home.node_id), NodeId(heir.node_id), f"{prefix}{number}:")
                of_a, of_b = await home_dies(cluster, ending, name, group)
                assert of_a["won"] != of_b["won"]
                assert of_a["owner"] == of_b["owner"]
                wins["first" if of_a["won"] else "second"] += 1
                winners[name] = of_a["owner"]
            await asyncio.gather(a.run(on_names.sync), b.run(on_names.sync))
    sys.stdout.write(f"{ending}: {dict(wins)} of {DEATHS}\n")
    assert offenses(log) == []
    assert {name: now for name, _, now, _ in log["events"]} == winners
    if ending is Ending.UNSPREAD:
        assert wins["first"] == DEATHS
