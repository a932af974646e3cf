"""What becomes of the links of an engine when the network breaks and when programs stand still or end.

A class for each engine inherits the tests; all that is asserted was seen of Zenoh, and matters to what is above it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from foundation.errors import RemoteError
from foundation.testing import TestCluster, TestNode
from tests.fabric import sessions_on_nodes as there
from tests.waiting import turns_until

LEASE_S = 1.0
LATE_S = 1.0
"""How much later than its time something may be seen on a busy machine."""
EVERYBODY = "to/everybody"


@dataclass(eq=False)
class Far:
    """A session on a node."""

    node: TestNode
    node_id: str
    endpoints: list[str]

    @property
    def token(self) -> str:
        return f"presence/{self.node.name}"

    async def introduce(self, other: Far) -> None:
        await self.node.run(there.introduce, other.node_id, other.endpoints)

    async def put(self, *texts: str, size: int = 0) -> None:
        await self.node.run(there.put, EVERYBODY, list(texts), size)

    async def sees(self, other: Far, times: int = 1) -> float:
        """Wait until this one has seen the token of the other come so many times; return when it came last."""
        return await self.node.run(there.until_heard, "there", other.token, times, 5.0)

    async def misses(self, other: Far, within_s: float) -> float:
        """Wait until this one has seen the token of the other go; return when."""
        return await self.node.run(there.until_heard, "gone", other.token, 1, within_s)

    async def got(self, count: int) -> None:
        """Wait until this one has been sent so many messages."""
        await self.node.run(there.until_heard, "got", EVERYBODY, count, 8.0)

    async def messages(self) -> list[str]:
        return [str(text) for _, what, _, _, text in await self.node.run(there.heard) if what == "got"]

    async def gone(self) -> list[str]:
        return [str(token) for _, what, token, _, _ in await self.node.run(there.heard) if what == "gone"]


async def linked(cluster: TestCluster, transport: str, lease_s: float = LEASE_S) -> list[Far]:
    """Open a session on each node; all are linked, and each has seen the token of each."""
    sessions = [await far(node, transport, lease_s) for node in cluster.nodes]
    for session in sessions[1:]:
        await session.introduce(sessions[0])
    for session in sessions:
        for other in sessions:
            await session.sees(other)
    return sessions


async def far(node: TestNode, transport: str, lease_s: float) -> Far:
    node_id, *endpoints = await node.run(there.open_session, transport, lease_s)
    await node.run(there.declare, f"presence/{node.name}")
    return Far(node, node_id, endpoints)


def now() -> float:
    return asyncio.get_running_loop().time()


async def passes(seconds: float) -> None:
    """Let time pass in which something must not happen, or during which a fault lasts."""
    await turns_until(now() + seconds)


class CutContract:
    """Inherit this, and say how a scenario is played and over which transport."""

    transport: str

    def play(self, scenario: Callable[[TestCluster], Awaitable[None]], nodes: int = 2) -> None:
        raise NotImplementedError

    def test_a_cut_ends_links_on_both_sides_after_the_lease(self) -> None:
        """Tokens go when the lease is over, those of others stay; what was put meanwhile is lost, also later."""

        async def scenario(cluster: TestCluster) -> None:
            one, two, three = sessions = await linked(cluster, self.transport)
            cut_at = now()
            await cluster.partition(one.node, [two.node, three.node])
            await one.put("lost")
            await two.put("lost")
            for mine, theirs in ((one, two), (one, three), (two, one), (three, one)):
                gone_at = await mine.misses(theirs, LEASE_S + LATE_S)
                assert gone_at - cut_at > LEASE_S / 2
            await cluster.heal()
            await passes(LEASE_S)  # nobody is back by itself
            gone = [sorted(await session.gone()) for session in sessions]
            assert gone == [[two.token, three.token], [one.token], [one.token]]
            assert [len(await session.messages()) for session in sessions] == [1, 1, 1]  # from its own side
            await one.introduce(two)
            for mine, theirs in ((one, two), (one, three), (two, one), (three, one)):
                await mine.sees(theirs, times=2)

        self.play(scenario, 3)

    @pytest.mark.parametrize("sender", [0, 1])
    def test_a_oneway_cut_ends_links_on_both_sides(self, sender: int) -> None:
        """Who is not heard and who hears nothing both lose the link, and neither gets a new one before the heal."""

        async def scenario(cluster: TestCluster) -> None:
            sessions = await linked(cluster, self.transport)
            mute, deaf = sessions[sender], sessions[1 - sender]
            await cluster.partition_oneway(mute.node, deaf.node)
            await deaf.misses(mute, LEASE_S + LATE_S)
            await mute.misses(deaf, LEASE_S + LATE_S)
            for one, other in ((mute, deaf), (deaf, mute)):
                with pytest.raises(RemoteError, match="Unreachable"):
                    await one.introduce(other)
            await cluster.heal()
            await deaf.introduce(mute)
            await mute.sees(deaf, times=2)
            await deaf.sees(mute, times=2)

        self.play(scenario)

    def test_what_is_put_during_a_short_cut_arrives_late(self) -> None:
        """Nothing is lost or reordered by a cut that is shorter than the lease, not even what goes in pieces."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport, lease_s=6.0)
            await cluster.partition(one.node, two.node)
            await one.put("first")
            await one.put("large", size=500_000)
            await one.put("last")
            await passes(0.3)
            assert not await two.messages()
            await cluster.heal()
            await two.got(3)
            assert [text.strip() for text in await two.messages()] == ["first", "large", "last"]
            assert not await one.gone() + await two.gone()

        self.play(scenario)

    def test_what_is_put_into_a_cut_holds_nobody_up(self) -> None:
        """Half a megabyte may be under way while nothing gets through, and the sender's loop goes on."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport)
            await cluster.partition(one.node, two.node)
            began = now()
            await one.put(*"abcdefgh", size=60_000)
            assert now() - began < LATE_S

        self.play(scenario)

    def test_a_cut_of_nearly_a_lease_is_noticed_by_both_or_by_none(self) -> None:
        """TCP may try again only after the lease, so the link may be lost though the network is whole again."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport)
            await cluster.partition(one.node, two.node)
            await passes(0.8 * LEASE_S)
            await cluster.heal()
            await passes(LEASE_S + LATE_S)
            assert (await one.gone(), await two.gone()) in (([], []), ([two.token], [one.token]))

        self.play(scenario)

    def test_a_flapping_link_loses_nothing_from_the_middle(self) -> None:
        """What arrives is all that was put up to some point, in order; where that is not the end, the link is gone."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport)
            sent = [str(number) for number in range(20)]
            for text in sent:
                await cluster.partition(one.node, two.node)
                await passes(0.1)
                await one.put(text)
                await cluster.heal()
                await passes(0.05)
            await passes(2 * LEASE_S + LATE_S)
            got = await two.messages()
            assert got == sent[: len(got)]
            assert got == sent or (await one.gone(), await two.gone()) == ([two.token], [one.token])

        self.play(scenario)

    def test_a_cut_between_two_of_three_is_theirs_alone(self) -> None:
        """The third keeps its links to both and relays nothing; somebody has to introduce the two again."""

        async def scenario(cluster: TestCluster) -> None:
            one, two, three = await linked(cluster, self.transport)
            await cluster.partition(one.node, two.node)
            await one.put("for three alone")
            await one.misses(two, LEASE_S + LATE_S)
            await two.misses(one, LEASE_S + LATE_S)
            await cluster.heal()
            await passes(LEASE_S)
            assert [await each.gone() for each in (one, two, three)] == [[two.token], [one.token], []]
            assert (await two.messages(), await three.messages()) == ([], ["for three alone"])
            await two.introduce(one)
            await one.sees(two, times=2)
            await two.sees(one, times=2)

        self.play(scenario, 3)

    def test_a_new_link_brings_the_neighbors_together(self) -> None:
        """Neighbors of the two who lack a link with each other, because they were cut too, get one."""

        async def scenario(cluster: TestCluster) -> None:
            one, two, three, four = await linked(cluster, self.transport)
            await cluster.partition(one.node, [two.node, four.node])
            for other in (two, four):
                await one.misses(other, LEASE_S + LATE_S)
                await other.misses(one, LEASE_S + LATE_S)
            await cluster.heal()
            await two.introduce(one)
            await one.sees(four, times=2)
            await four.sees(one, times=2)
            assert not await three.gone()

        self.play(scenario, 4)

    def test_a_killed_program_is_gone_at_once(self) -> None:
        """Its machine says so, so nobody waits for the lease."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport, lease_s=10.0)
            two.node.kill()
            await one.misses(two, LATE_S)

        self.play(scenario)

    def test_a_vanished_program_is_gone_after_the_lease(self) -> None:
        """Where nothing says so, the lease does."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport)
            cut_at = now()
            await cluster.partition(one.node, two.node)
            two.node.kill()
            gone_at = await one.misses(two, LEASE_S + LATE_S)
            assert gone_at - cut_at > LEASE_S / 2

        self.play(scenario)

    def test_a_pause_within_the_lease_is_not_noticed(self) -> None:
        """What was put meanwhile is there when the program goes on."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport, lease_s=4.0)
            two.node.pause()
            await one.put("meanwhile")
            await passes(0.5)
            two.node.resume()
            await two.got(1)
            assert not await one.gone() + await two.gone()

        self.play(scenario)

    def test_a_pause_beyond_the_lease_ends_the_link(self) -> None:
        """The others notice when the lease is over, the paused one when it goes on; then they may be introduced."""

        async def scenario(cluster: TestCluster) -> None:
            one, two = await linked(cluster, self.transport)
            two.node.pause()
            await one.misses(two, LEASE_S + LATE_S)
            await passes(LEASE_S / 2)
            two.node.resume()
            await two.misses(one, LATE_S)
            await two.introduce(one)
            await one.sees(two, times=2)
            await two.sees(one, times=2)

        self.play(scenario)
