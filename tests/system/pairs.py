"""Two nodes in OS processes of their own: one plays a story and tells how it went, the other one serves it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from tests.programs import Playground, Program, playground

COOKIE = "the cookie of a test"

_NODE = """
import asyncio, gc, json, os, resource, sys, time
import foundation
from foundation.fabric import FabricOptions
from foundation import concurrent

def tell(**facts):
    print(json.dumps(facts))

async def told():
    return (await asyncio.to_thread(sys.stdin.readline)).strip()

def parts():
    return foundation.current_cluster()._running

async def server_of(cluster):
    while not (found := [m for m in cluster.members() if m.name == "server" and m.status == "up"]):
        await asyncio.sleep(0.01)
    return found[0]

async def until_linked(node):
    while parts().fabric.peers.ways()[node.node_id] != os.environ["WAY"]:
        await asyncio.sleep(0.01)

async def until(look, within_s=10):
    deadline = time.monotonic() + within_s
    while not await look() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)

async def serve(cluster):
    await asyncio.Event().wait()

async def play(story):
    options = json.loads(os.environ["FABRIC"])
    fabric = FabricOptions(direct_links=os.environ["WAY"] == "direct", **options)
    async with foundation.start_cluster(cluster="static", fabric=fabric) as cluster:
        tell(event="Ready", address=cluster.address)
        await story(cluster)
"""


class Pair(NamedTuple):
    """The two programs, and where the door of the one that serves is."""

    driver: Program
    server: Program
    address: str


@asynccontextmanager
async def pair(processes: str, story: str, way: str = "direct", **fabric: Any) -> AsyncGenerator[Pair]:
    """Start a server that knows ``processes`` and a driver that knows them too and plays ``story(cluster)``.

    Frames take the given way; ``fabric`` are more options of the server's fabric.
    """
    async with playground(FOUNDATION_COOKIE=COOKIE, WAY=way) as ground, AsyncExitStack() as stack:
        server = await _start(stack, ground, processes, "serve", "server", FABRIC=json.dumps(fabric))
        address = str((await told(server, "Ready"))["address"])
        driver = await _start(
            stack, ground, processes + story, "story", "driver", FABRIC="{}", FOUNDATION_PEERS=address
        )
        yield Pair(driver, server, address)


async def told(program: Program, event: str, timeout_s: float = 20.0) -> dict[str, Any]:
    """Return what a program tells with its next event of that kind."""
    _, line = await program.line(f'"event": "{event}"', timeout_s)
    facts: dict[str, Any] = json.loads(line)
    return facts


async def _start(
    stack: AsyncExitStack, ground: Playground, code: str, story: str, name: str, **environment: str
) -> Program:
    code = f"{_NODE}\n{code}\nasyncio.run(play({story}))\n"
    return await stack.enter_async_context(await ground.start(code, name, FOUNDATION_NAME=name, **environment))
