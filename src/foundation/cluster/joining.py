"""The first moments of a node: meet whom discovery finds, and hold what they hold."""

from __future__ import annotations

import asyncio
import logging

from foundation.cluster.assembly import Parts
from foundation.config import Config
from foundation.core.tasks import TaskScope
from foundation.errors import CallTimeout

logger = logging.getLogger(__name__)

_FIRST_LOOK_S = 0.25
_LEAST_CATCH_UP_S = 0.25


async def look_around(parts: Parts, config: Config) -> None:
    """Meet whom discovery finds at first sight; the first who is met ends the wait for slower strategies."""
    async with TaskScope("first look") as looking:
        look_s = min(_FIRST_LOOK_S, config.join_timeout_s)
        round_over = looking.start(parts.discovery.first_round(look_s), "first round")
        met = looking.start(parts.membership.met_somebody(), "met somebody")
        await asyncio.wait({round_over, met}, return_when=asyncio.FIRST_COMPLETED)
    await parts.membership.settle(config.join_timeout_s)


async def catch_up(parts: Parts, name: str, until: float) -> None:
    """Hold what those who were met hold, as far as they are quick about it."""
    present = parts.replication.present
    left_s = max(until - asyncio.get_running_loop().time(), _LEAST_CATCH_UP_S)
    try:
        await parts.sync.wait(lambda: present, lambda node: node[:8], left_s)
    except CallTimeout as error:
        logger.warning("%s starts with less than the others know: %s", name, error)
