"""Foundation through its public face, with default options: processes on the other node, called by reference."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import foundation
from benchmarks.calls.command_line import Ready, main
from benchmarks.calls.measuring import Plan, measure
from foundation.fabric import FabricOptions
from foundation.membership import MemberUp

ROUTED = "BENCHMARK_ROUTED"
"""Environment variable: when set, frames take the routed path over Zenoh even where a direct link is possible."""

HAS_DIRECT_LINKS = "direct_links" in {field.name for field in fields(FabricOptions)}


class Echo(foundation.Process):
    """Returns what it gets."""

    async def echo(self, payload: bytes) -> bytes:
        """Return the argument."""
        return payload


def options() -> dict[str, Any]:
    """Return what differs from the defaults: both nodes meet by a folder of their own, so nothing leaves loopback."""
    chosen: dict[str, Any] = {"cluster": "local"}
    if os.environ.get(ROUTED) and HAS_DIRECT_LINKS:
        routed: dict[str, Any] = {"direct_links": False}
        chosen["fabric"] = FabricOptions(**routed)
    return chosen


def path() -> str:
    """Name the path that frames take."""
    return "direct link" if HAS_DIRECT_LINKS and not os.environ.get(ROUTED) else "zenoh"


async def serve(_plan: Plan, ready: Ready) -> None:
    """Be a node that knows the class."""
    async with foundation.start_cluster(**options()) as cluster:
        await ready(cluster.name)


async def call(plan: Plan, address: str) -> dict[str, Any]:
    """Start the processes on the other node and call them."""
    async with foundation.start_cluster(**options()) as cluster:
        async with cluster.events() as events:
            async for event in events:
                if isinstance(event, MemberUp) and event.member.name == address:
                    break
        targets = [await cluster.start_process(Echo, node=address) for _ in range(plan.targets)]
        return await measure(targets, plan) | {"path": path()}


if __name__ == "__main__":
    main(serve, call, "foundation", "eclipse-zenoh", "msgspec")
