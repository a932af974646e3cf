"""Measure what junk costs a node that finds others by gossip: packets altered, replayed, of another secret, any.

Two programs are nodes on loopback; a third records what one of them says and sends as much junk as it can in the time.
``DURATION_S=60`` sets the time, 600 by default.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import platform
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

import foundation
from foundation.discovery.strategies.gossip import GossipOptions, GossipStrategy

RESULTS = Path(__file__).parent / "results" / "flood.json"
LOOPBACK = "127.0.0.1"
MOST_PACKET = 65_536
AT_ONCE = 500
PAUSE_S = 0.001
"""The sender leaves a part of its core to the nodes: junk that the system drops before them costs nothing."""

NODE = "from benchmarks.flood import main_of_node; main_of_node()"


def main_of_node() -> None:
    """Be a node, and answer each line with the CPU seconds used, the others who are up, and the packets counted."""
    port, *targets = (int(port) for port in sys.argv[1:])
    told = tuple(f"{LOOPBACK}:{target}" for target in targets)
    gossip = GossipStrategy(GossipOptions(port=port, if_addr=LOOPBACK, targets=told))

    async def be() -> None:
        loop = asyncio.get_running_loop()
        async with foundation.start_cluster(cluster=gossip, cookie="a long random text") as cluster:
            asked: asyncio.Queue[str] = asyncio.Queue()
            loop.add_reader(sys.stdin.fileno(), lambda: asked.put_nowait(sys.stdin.readline()))
            print("up", flush=True)
            while await asked.get():
                ups = len(cluster.members()) - 1
                print(json.dumps([time.process_time(), ups, dict(gossip.counters)]), flush=True)

    asyncio.run(be())


class Node:
    """One of the programs."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self._program = program

    @classmethod
    async def start(cls, *ports: int) -> Node:
        """Start it, with its port first and then those that it tells of itself."""
        pipe = asyncio.subprocess.PIPE
        words = [sys.executable, "-c", NODE, *map(str, ports)]
        silence = asyncio.subprocess.DEVNULL
        node = cls(await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=silence))
        await node._line()
        return node

    async def ask(self) -> tuple[float, int, dict[str, int]]:
        """Return CPU seconds, the count of others who are up, and the counts of packets by what became of them."""
        assert self._program.stdin is not None
        self._program.stdin.write(b"\n")
        cpu_s, ups, counters = json.loads(await self._line())
        return cpu_s, ups, counters

    async def end(self) -> None:
        """Kill it."""
        self._program.kill()
        await self._program.wait()

    async def _line(self) -> bytes:
        assert self._program.stdout is not None
        return await asyncio.wait_for(self._program.stdout.readline(), 30)


def junk(good: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield every kind of it, over and over."""
    yield good  # replayed
    altered = bytearray(good)
    altered[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
    yield bytes(altered)
    yield good[:20] + chance.randbytes(len(good) - 20)  # as of another secret
    yield chance.randbytes(chance.randrange(1, 1400))


async def measure(seconds: float) -> dict[str, Any]:
    """Return the share of a core that a node uses with and without a flood, and what became of the packets."""
    ears = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for ear in ears:
        ear.bind((LOOPBACK, 0))
    record, *ports = (ear.getsockname()[1] for ear in ears)
    for ear in ears[1:]:
        ear.close()
    nodes = [await Node.start(ports[0], ports[1], record), await Node.start(ports[1], ports[0])]
    try:
        good = await asyncio.to_thread(ears[0].recv, MOST_PACKET)
        quiet, _, _ = await _share(nodes[1], seconds / 10, None)
        flood = [packet for _ in range(100) for packet in junk(good, random.Random(1))]
        share, sent, counters = await _share(nodes[1], seconds, (ears[0], itertools.cycle(flood), ports[1]))
        _, ups, _ = await nodes[1].ask()
    finally:
        ears[0].close()
        for node in nodes:
            await node.end()
    return {
        "seconds": seconds,
        "sent": sent,
        "idle_core_percent": round(100 * quiet, 2),
        "flood_core_percent": round(100 * share, 2),
        "members_beside": ups,
        "counters": counters,
    }


async def _share(
    node: Node, seconds: float, flood: tuple[socket.socket, Iterator[bytes], int] | None
) -> tuple[float, int, dict[str, int]]:
    before, _, _ = await node.ask()
    begun, sent = time.monotonic(), 0
    while (left := begun + seconds - time.monotonic()) > 0:
        if flood is not None:
            mouth, packets, port = flood
            for packet in itertools.islice(packets, AT_ONCE):
                mouth.sendto(packet, (LOOPBACK, port))
            sent += AT_ONCE
        await asyncio.sleep(PAUSE_S if flood else left)
    after, _, counters = await node.ask()
    return (after - before) / (time.monotonic() - begun), sent, counters


def main() -> None:
    """Measure and write down."""
    result = asyncio.run(measure(float(os.environ.get("DURATION_S", "600"))))
    result |= {"python": platform.python_version(), "cores": os.cpu_count()}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    Console().print(f"a flood of junk costs a node {result['flood_core_percent']} % of a core")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
