"""Two and three real nodes that meet, leave, die and are cut off."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from foundation.testing.real.hosts import Hosts, hosts, why_no_hosts
from tests.programs import Playground, playground
from tests.system.watching import Watcher, watcher

HELLO = Path(__file__).parents[2] / "examples" / "hello.py"
SHORT = {"LEASE_S": "1", "DOWN_AFTER_S": "2"}
needs_hosts = pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts()))


async def _enter(stack: AsyncExitStack, *started: Watcher) -> None:
    for each in started:
        await stack.enter_async_context(each.program)
    for each in started:
        await each.ready()


async def _pair(stack: AsyncExitStack, ground: Playground) -> tuple[Watcher, Watcher]:
    one, other = await watcher(ground, "one"), await watcher(ground, "other")
    await _enter(stack, one, other)
    await one.event("MemberUp")
    await other.event("MemberUp")
    return one, other


async def _hello_twice(namespace: str | None = None) -> None:
    code = HELLO.read_text()
    async with playground() as ground, AsyncExitStack() as stack:
        one = await stack.enter_async_context(await ground.start(code, "one", namespace, FOUNDATION_NAME="one"))
        await one.line("alone")
        began = asyncio.get_running_loop().time()
        other = await stack.enter_async_context(await ground.start(code, "other", namespace, FOUNDATION_NAME="other"))
        seen_by_one, _ = await one.line("other is up")
        seen_by_other, _ = await other.line("one is up")
        assert seen_by_one - began < 1.5
        assert seen_by_other - began < 1.5


async def test_six_lines_started_twice_find_each_other() -> None:
    """A program of six lines, started twice, prints the other's name within 1.5 s of the second start."""
    await _hello_twice()


@needs_hosts
async def test_six_lines_started_twice_need_no_multicast() -> None:
    """The same where no packet to a multicast address can leave."""
    with hosts(1) as network:
        block = ["ip", "netns", "exec", network.namespace(1), "ip", "route", "add", "unreachable", "224.0.0.0/4"]
        subprocess.run(block, check=True)  # noqa: ASYNC221 - done in a millisecond
        await _hello_twice(network.namespace(1))


async def test_a_killed_node_is_down_within_half_a_second() -> None:
    """After `kill -9` of one of two nodes the other calls it down within 0.5 s."""
    async with playground() as ground, AsyncExitStack() as stack:
        one, other = await _pair(stack, ground)
        killed_at = other.program.send(signal.SIGKILL)
        down = await one.event("MemberDown")
        assert down["node"] == other.node
        assert down["at"] - killed_at < 0.5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signalled_node_leaves(number: signal.Signals) -> None:
    """SIGTERM and SIGINT make a node leave: the other sees `left`, and never `unreachable` or `down`."""
    async with playground() as ground, AsyncExitStack() as stack:
        one, other = await _pair(stack, ground)
        other.program.send(number)
        left = await one.event("MemberLeft")
        assert left["node"] == other.node
        assert await other.program.end() == (128 + number if number is signal.SIGTERM else -number)
        assert not one.saw("MemberUnreachable")
        assert not one.saw("MemberDown")


async def _on_hosts(stack: AsyncExitStack, ground: Playground, network: Hosts, **environment: str) -> list[Watcher]:
    first = f"{network.address(1)}:7400"
    started = [
        await watcher(
            ground,
            f"host-{host}",
            network.namespace(host),
            FOUNDATION_CLUSTER="static",
            FOUNDATION_PEERS=first,
            FOUNDATION_HOST=network.address(host),
            FOUNDATION_PORT="7400",
            FOUNDATION_COOKIE="the cookie of a test",
            **environment,
        )
        for host in range(1, network.count + 1)
    ]
    await _enter(stack, *started)
    for each in started:
        for _ in range(network.count - 1):
            await each.event("MemberUp")
    return started


@needs_hosts
async def test_a_cut_node_is_unreachable_and_comes_back_as_the_same_member() -> None:
    """A cut longer than the lease shows as unreachable on both sides, and its end as the same member reachable."""
    with hosts(2) as network:
        async with playground() as ground, AsyncExitStack() as stack:
            one, other = await _on_hosts(stack, ground, network)
            network.cut(1, 2)
            for here, there in ((one, other), (other, one)):
                assert (await here.event("MemberUnreachable", 5.0))["node"] == there.node
            network.heal(1, 2)
            for here, there in ((one, other), (other, one)):
                back = await here.event("MemberReachable")
                assert (back["node"], back["incarnation"]) == (there.node, 1)
                assert not here.saw("MemberDown")


@needs_hosts
@pytest.mark.timeout(60)
async def test_a_node_cut_off_for_long_is_down_and_rejoins_with_a_higher_incarnation() -> None:
    """When everybody in reach has given a member up it is down; after the cut it is up again, incarnation 2."""
    with hosts(2) as network:
        async with playground() as ground, AsyncExitStack() as stack:
            one, other = await _on_hosts(stack, ground, network, **SHORT)
            network.cut(1, 2)
            for here in (one, other):
                await here.event("MemberDown")
            network.heal(1, 2)
            for here, there in ((one, other), (other, one)):
                back = await here.event("MemberUp", 15.0)
                assert (back["node"], back["incarnation"]) == (there.node, 2)


@needs_hosts
@pytest.mark.timeout(60)
async def test_a_cut_between_two_of_three_downs_nobody() -> None:
    """A and B, cut from each other for longer than `down_after_s`, both stay members as long as C reaches them."""
    with hosts(3) as network:
        async with playground() as ground, AsyncExitStack() as stack:
            first, second, third = await _on_hosts(stack, ground, network, **SHORT)
            network.cut(2, 3)
            await second.event("MemberUnreachable")
            await third.event("MemberUnreachable")
            with pytest.raises(AssertionError, match="printed no line"):
                await second.event("MemberDown", 3 * float(SHORT["DOWN_AFTER_S"]))
            network.heal(2, 3)
            assert (await second.event("MemberReachable"))["node"] == third.node
            assert (await third.event("MemberReachable"))["node"] == second.node
            assert not any(each.saw("MemberDown") for each in (first, second, third))
