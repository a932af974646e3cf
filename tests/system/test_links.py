"""Direct links between real nodes: a stopped peer, a closed port, a slow line."""

from __future__ import annotations

import shutil
import signal
from contextlib import AsyncExitStack

import pytest

from foundation.testing.real.hosts import hosts, why_no_hosts
from tests.programs import Playground, Program, playground
from tests.system.stories import SERVE, telling, told

needs_hosts = pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts()))
needs_nft = pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft (Debian: nftables) for a firewall rule")
needs_tc = pytest.mark.skipif(shutil.which("tc") is None, reason="needs tc (Debian: iproute2) for a slow line")

STOPPED = telling("""
async def story(cluster):
    stopped, third = await member(cluster, "stopped"), await member(cluster, "third")
    sink = await cluster.start_process(Sink, node=stopped)
    other = await cluster.start_process(Sink, node=third)
    await sink.echo(b""), await other.echo(b"")
    await until_way(cluster, stopped, os.environ["WAY"])
    worst = 0.0
    async def beat():
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            worst = max(worst, time.perf_counter() - before - 0.002)
    async def give():
        for number in range(10_000):
            while True:
                try:
                    await foundation.cast(sink.put, number, bytes(10_000))
                    break
                except foundation.errors.Overloaded:
                    await asyncio.sleep(0.01)
    tell(event="Stop")
    await asyncio.to_thread(sys.stdin.readline)
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(beat())
        giving = group.create_task(give())
        for _ in range(500):
            await other.echo(b"x" * 64)
        tell(event="Undisturbed", worst=worst)
        await giving
        beating.cancel()
    got = []
    while len(got) < 10_000:
        got = await foundation.options(sink, timeout_s=20).all()
    tell(event="Done", right=got == list(range(10_000)), worst=worst)
""")


async def three(stack: AsyncExitStack, ground: Playground, story: str, **environment: str) -> list[Program]:
    driver = await ground.start(story, "driver", FOUNDATION_NAME="driver", **environment)
    await stack.enter_async_context(driver)
    address = (await told(driver, "Ready"))["address"]
    others = [
        await ground.start(SERVE, name, FOUNDATION_NAME=name, FOUNDATION_PEERS=address, **environment)
        for name in ("stopped", "third")
    ]
    for other in others:
        await stack.enter_async_context(other)
    return [driver, *others]


@pytest.mark.parametrize("way", ["direct", "routed"])
async def test_a_stopped_peer_costs_the_others_nothing(way: str) -> None:
    """100 MB of casts to a peer under SIGSTOP stall nobody, and each arrives once and in order after SIGCONT."""
    program = (
        STOPPED
        if way == "direct"
        else STOPPED.replace(
            'cookie="a test"', 'cookie="a test", fabric=foundation.fabric.FabricOptions(direct_links=False)'
        )
    )
    async with playground() as ground, AsyncExitStack() as stack:
        driver, stopped, _ = await three(stack, ground, program, WAY=way)
        await told(driver, "Stop")
        stopped.send(signal.SIGSTOP)
        await driver.enter("go")
        undisturbed = await told(driver, "Undisturbed")
        stopped.send(signal.SIGCONT)
        done = await told(driver, "Done")
        assert done["right"]
        assert undisturbed["worst"] < 0.25  # a blocked write would take seconds


FIREWALLED = telling("""
async def story(cluster):
    peer = await member(cluster, "far")
    sink = await cluster.start_process(Sink, node=peer)
    await sink.put(0, b"")
    tell(event="Close")
    await asyncio.to_thread(sys.stdin.readline)
    cluster._running.fabric.peers._peers[peer.node_id]._direct.close()
    for number in range(1, 50):
        await sink.put(number, b"")
    tell(event="Done", way=way(cluster, peer), right=await sink.all() == list(range(50)))
""")


@needs_hosts
@needs_nft
async def test_a_node_behind_a_firewall_takes_part() -> None:
    """When a rule drops everything to the doors, calls go on over the routes, in order."""
    with hosts(2) as network:
        async with playground() as ground, AsyncExitStack() as stack:
            programs = []
            for host, (name, code) in enumerate((("near", FIREWALLED), ("far", SERVE)), start=1):
                environment = {"FOUNDATION_HOST": network.address(host), "FOUNDATION_PORT": "7400"}
                environment |= {"FOUNDATION_PEERS": f"{network.address(1)}:7400", "FOUNDATION_NAME": name}
                programs.append(await ground.start(code, name, network.namespace(host), **environment))
                await stack.enter_async_context(programs[-1])
            await told(programs[0], "Close")
            for host in (1, 2):
                rules = "add table inet t; add chain inet t in { type filter hook input priority 0; };"
                rules += " add rule inet t in tcp dport 7400 drop; add rule inet t in tcp sport 7400 drop"
                network.run(host, "nft", rules)
            await programs[0].enter("go")
            assert await told(programs[0], "Done") == {"event": "Done", "way": "routed", "right": True}
