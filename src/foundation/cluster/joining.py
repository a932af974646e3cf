"""The first moments of a node: meet whom discovery finds, and hold what they hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import NamedTuple

from foundation.cluster.assembly import Parts, assemble
from foundation.cluster.probes import Probes
from foundation.config import Config
from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout
from foundation.membership import MemberStatus
from foundation.reconfiguration import Written

logger = logging.getLogger(__name__)

_FIRST_LOOK_S = 0.25
_LOOK_AGAIN_S = 0.25
_LEAST_CATCH_UP_S = 0.25


class Joined(NamedTuple):
    """A node that has met others."""

    parts: Parts
    probes: Probes
    probe_port: int | None
    """Where it answers probes; None when it does not."""


async def join(own: Config, stack: AsyncExitStack) -> Joined:
    """Start the parts on ``stack`` and meet others.

    Where the others say at run time what counts only from a start, this node starts once more, with that.
    """
    async with AsyncExitStack() as first:
        joined = await _join(own, {}, first)
        said = joined.parts.reconfiguration
        if own.observer or not said.needs_restart:
            await stack.enter_async_context(first.pop_all())
            return joined
        logger.info("%s starts once more, with what was said at run time", own.name)
        joined.parts.membership.become(MemberStatus.LEAVING)
    return await _join(own, said.heard, stack)


async def _join(own: Config, heard: Mapping[str, Written], stack: AsyncExitStack) -> Joined:
    parts = await assemble(own, heard, stack)
    started = parts.reconfiguration.config
    probes = Probes(parts, started)
    port = await answer_probes(probes, started, stack)
    await meet(parts, started)
    return Joined(parts, probes, port)


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


async def have_enough(parts: Parts, probes: Probes) -> None:
    """Wait until as many members are up as the node is to begin with; who only looks on need not."""
    config = parts.reconfiguration.config
    if not config.observer:
        await _wait_for_enough(parts, config.name, probes)
    probes.has_begun = True


async def _wait_for_enough(parts: Parts, name: str, probes: Probes) -> None:
    async with parts.membership.events.stream() as events:
        said = ""
        while why := probes.why_not_begin():
            if why != said:
                logger.warning("%s waits: %s", name, why)
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
