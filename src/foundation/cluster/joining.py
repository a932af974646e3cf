"""The first moments of a node: meet whom discovery finds, and hold what they hold."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, suppress

from foundation.cluster.assembly import Parts
from foundation.cluster.probes import Probes
from foundation.config import Config
from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout

logger = logging.getLogger(__name__)

_FIRST_LOOK_S = 0.25
_LOOK_AGAIN_S = 0.25
_LEAST_CATCH_UP_S = 0.25


async def meet(parts: Parts, config: Config) -> None:
    """Meet others, and know what they know."""
    until = asyncio.get_running_loop().time() + config.join_timeout_s
    await _look_around(parts, config)
    if not config.observer:
        await _catch_up(parts, config.name, until)


async def answer_probes(probes: Probes, config: Config, stack: AsyncExitStack) -> int | None:
    """Answer to an orchestrator, if that is wanted, until all has been handed over; return at which port."""
    if config.probe_port is None or config.observer:
        return None
    from foundation.cluster.probe_server import ProbeServer  # noqa: PLC0415 - needs an extra

    server = ProbeServer(probes, config.probe_host or config.fabric.host, config.probe_port)
    return (await stack.enter_async_context(server)).port


async def have_enough(parts: Parts, config: Config, probes: Probes) -> None:
    """Wait until as many members are up as the node is to begin with; who only looks on need not."""
    if not config.observer:
        await _wait_for_enough(parts, config, probes)
    probes.has_begun = True


async def _wait_for_enough(parts: Parts, config: Config, probes: Probes) -> None:
    async with parts.membership.events.stream() as events:
        said = ""
        while why := probes.why_not_begin():
            if why != said:
                logger.warning("%s waits: %s", config.name, why)
            said = why
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):  # for what discovery finds
                    await anext(events)


async def _look_around(parts: Parts, config: Config) -> None:
    """Meet whom discovery finds at first sight; the first who is met ends the wait for slower strategies."""
    async with TaskScope("first look") as looking:
        look_s = min(_FIRST_LOOK_S, config.join_timeout_s)
        round_over = looking.start(parts.discovery.first_round(look_s), "first round")
        met = looking.start(parts.membership.met_somebody(), "met somebody")
        await asyncio.wait({round_over, met}, return_when=asyncio.FIRST_COMPLETED)
    await parts.membership.settle(config.join_timeout_s)


async def _catch_up(parts: Parts, name: str, until: float) -> None:
    """Hold what those who were met hold, as far as they are quick about it."""
    present = parts.replication.present
    left_s = max(until - asyncio.get_running_loop().time(), _LEAST_CATCH_UP_S)
    try:
        await parts.sync.wait(lambda: present, lambda node: node[:8], left_s)
    except CallTimeout as error:
        logger.warning("%s starts with less than the others know: %s", name, error)
