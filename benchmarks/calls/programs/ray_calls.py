"""Ray: asyncio actors, each in a worker process of its own as Ray has it, called from the driver."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import ray

from benchmarks.calls.command_line import main
from benchmarks.calls.measuring import Plan, measure

_ACTORS = 2
"""Worker processes; each stands for many targets, since 64 processes do not fit this kind of machine."""


@ray.remote(num_cpus=0, max_concurrency=1000)
class Echo:
    """Returns what it gets."""

    async def echo(self, payload: bytes) -> bytes:
        """Return the argument."""
        return payload


class Caller:
    """One actor, seen as a target."""

    def __init__(self, actor: Any) -> None:  # noqa: ANN401 - Ray's handle
        self._actor = actor

    async def echo(self, payload: bytes) -> bytes:
        """Call it."""
        answer: bytes = await self._actor.echo.remote(payload)
        return answer


async def call(plan: Plan, _address: str) -> dict[str, Any]:
    """Start Ray on this machine and call its actors."""
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    try:
        actors = [Caller(Echo.remote()) for _ in range(_ACTORS)]
        figures = await measure([actors[number % _ACTORS] for number in range(plan.targets)], plan)
    finally:
        await asyncio.to_thread(ray.shutdown)
    return figures | {"worker_processes": _ACTORS}


if __name__ == "__main__":
    main(None, call, "ray")
