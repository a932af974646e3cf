"""xoscar: stateful actors in a pool on the other side, called by reference, over its socket channel."""

from __future__ import annotations

from typing import Any

import xoscar

from benchmarks.calls.command_line import Ready, main
from benchmarks.calls.measuring import Plan, measure


class Echo(xoscar.Actor):  # type: ignore[misc]
    """Returns what it gets."""

    async def echo(self, payload: bytes) -> bytes:
        """Return the argument."""
        return payload


async def serve(plan: Plan, ready: Ready) -> None:
    """Hold the actors."""
    pool = await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
    async with pool:
        for number in range(plan.targets):
            await xoscar.create_actor(Echo, address=pool.external_address, uid=f"echo-{number}")
        await ready(pool.external_address)


async def call(plan: Plan, address: str) -> dict[str, Any]:
    """Call them."""
    targets = [await xoscar.actor_ref(address, f"echo-{number}") for number in range(plan.targets)]
    return await measure(targets, plan)


if __name__ == "__main__":
    main(serve, call, "xoscar")
