"""Look at a cluster from the command line, as an observer that is no member."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import foundation
from foundation import Cluster, Member
from foundation.cli.failure import CommandFailed

_QUIET_S = 0.05


@asynccontextmanager
async def observing(arguments: dict[str, Any], timeout_s: float) -> AsyncGenerator[Cluster]:
    """Join as an observer; raises :class:`CommandFailed` when nobody is found in ``timeout_s``."""
    async with foundation.start_cluster(observer=True, **arguments) as cluster:
        await _meet(cluster, timeout_s)
        yield cluster


async def _meet(cluster: Cluster, timeout_s: float) -> None:
    """Wait for the first member, and then until no more come."""
    async with cluster.events() as events:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not cluster.members():
                    await anext(events)
        if not cluster.members():
            name, looked = cluster.config.cluster_name, ", ".join(cluster.config.strategy_names)
            message = f"no node of the cluster {name!r} was found within {timeout_s:g} s (by {looked}); is one running?"
            raise CommandFailed(message)
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(_QUIET_S):
                    await anext(events)


def everybody(cluster: Cluster) -> list[Member]:
    """Return also those whom others cannot reach, and whom this observer therefore could not meet."""
    found = {member.node_id: member for member in [*cluster.out_of_reach(), *cluster.members()]}
    return sorted(found.values(), key=lambda member: (member.name, member.node_id))
