"""The program that system tests run: a node that prints what happens as JSON lines."""

from __future__ import annotations

import json
from typing import Any

from tests.programs import LINE_TIMEOUT_S, Playground, Program

WATCH = """
import asyncio, json, logging, os, time
import foundation
from foundation.fabric import FabricOptions
from foundation.membership import MembershipOptions

logging.basicConfig(level=os.environ.get("LOG", "WARNING"))
fabric = FabricOptions(lease_s=float(os.environ.get("LEASE_S", 3)))
membership = MembershipOptions(down_after_s=float(os.environ.get("DOWN_AFTER_S", 10)))

def tell(**facts):
    print(json.dumps({"at": time.monotonic()} | facts))

async def main():
    async with foundation.start_cluster(fabric=fabric, membership=membership) as cluster:
        tell(event="Ready", node=cluster.node.node_id, address=cluster.address)
        async for event in cluster.events():
            member = event.member
            tell(event=type(event).__name__, name=member.name, node=member.node_id, incarnation=member.incarnation)

asyncio.run(main())
"""


class Watcher:
    """A node in a program of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.node = ""
        self.address = ""

    async def ready(self) -> dict[str, Any]:
        """Wait until the node has started."""
        facts = await self.event("Ready")
        self.node, self.address = facts["node"], facts["address"]
        return facts

    async def event(self, kind: str, timeout_s: float = LINE_TIMEOUT_S) -> dict[str, Any]:
        """Wait for the next event of that kind and return what was printed."""
        _, line = await self.program.line(f'"event": "{kind}"', timeout_s)
        facts: dict[str, Any] = json.loads(line)
        return facts

    def saw(self, kind: str) -> bool:
        """Tell whether an event of that kind was printed so far."""
        return f'"event": "{kind}"' in self.program.output


async def watcher(ground: Playground, name: str, namespace: str | None = None, **environment: str) -> Watcher:
    """Start a node that prints its events."""
    program = await ground.start(WATCH, name, namespace, FOUNDATION_NAME=name, **environment)
    return Watcher(program)
