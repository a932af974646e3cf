"""Programs of one node each, written as stories: what a node does once it runs, told in lines of JSON."""

from __future__ import annotations

import json
from typing import Any

from tests.programs import Program

NODE = """
import asyncio, json, os, sys, time
from collections.abc import AsyncIterator
import foundation

class Sink(foundation.Process, wire_name="Sink"):
    def __init__(self) -> None:
        self.got = []
    async def put(self, number: int, load: bytes) -> None:
        self.got.append(number)
    async def echo(self, load: bytes) -> bytes:
        return load
    async def all(self) -> list[int]:
        return self.got

def tell(**facts):
    print(json.dumps(facts))

class Source(foundation.Process, wire_name="Source"):
    async def echo(self, load: bytes) -> bytes:
        return load
    async def bulk(self, items: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(items):
            yield bytes(size)

async def main():
    async with foundation.start_cluster(cluster="static", cookie="a test") as cluster:
        tell(event="Ready", address=cluster.address)
        await STORY(cluster)

async def member(cluster, name):
    while not (found := [m for m in cluster.members() if m.name == name and m.status == "up"]):
        await asyncio.sleep(0.01)
    return found[0]

def way(cluster, node):
    return cluster._running.fabric.peers.ways()[node.node_id]

async def until_way(cluster, node, wanted):
    while way(cluster, node) != wanted:
        await asyncio.sleep(0.01)

async def serve(cluster):
    await asyncio.Event().wait()
"""
SERVE = NODE.replace("STORY", "serve") + "\nasyncio.run(main())\n"


def telling(story: str) -> str:
    """Return the program of a node that plays a story."""
    return NODE.replace("STORY", "story") + story + "\nasyncio.run(main())\n"


async def told(program: Program, event: str, timeout_s: float = 20.0) -> dict[str, Any]:
    _, line = await program.line(f'"event": "{event}"', timeout_s)
    facts: dict[str, Any] = json.loads(line)
    return facts
