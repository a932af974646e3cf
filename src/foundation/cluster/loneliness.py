"""Say so, once each time, when a node is alone."""

from __future__ import annotations

import logging
from typing import Protocol

from foundation.config import Config
from foundation.core.events import EventStream
from foundation.membership import Member, MemberEvent, MemberStatus

logger = logging.getLogger(__name__)


class Company(Protocol):
    """The cluster, as far as company goes."""

    @property
    def config(self) -> Config:
        """What this node was told to be."""
        ...

    def members(self) -> list[Member]:
        """Return everybody who is in, this node first."""
        ...

    def events(self) -> EventStream[MemberEvent]:
        """Watch the other members."""
        ...


async def mind_loneliness(cluster: Company) -> None:
    """Log when there is nobody else, and when the last one goes."""
    config = cluster.config
    async with cluster.events() as events:
        if _is_alone(cluster) and not config.observer:
            logger.warning(
                "%s is alone in cluster %r so far: %s found nobody; it goes on looking",
                config.name,
                config.cluster_name,
                ", ".join(config.strategy_names),
            )
        async for event in events:
            if event.member.status in {MemberStatus.LEFT, MemberStatus.DOWN} and _is_alone(cluster):
                logger.warning("%s is alone in cluster %r now: %s", config.name, config.cluster_name, event)


def _is_alone(cluster: Company) -> bool:
    return len(cluster.members()) == 1
