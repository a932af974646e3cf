"""Run a supervision tree on a node, for as long as its top goes on."""

from __future__ import annotations

import logging
from typing import Any

from foundation.cluster import Cluster
from foundation.processes import Child

logger = logging.getLogger(__name__)


async def run_tree(tree: Child[Any], cluster: Cluster) -> None:
    """Start a tree and wait for its end: SystemExit with 0 when it was stopped in order, else with 1."""
    top = await cluster.start_process(tree.spec, name=tree.name)
    ended = await cluster.monitor(top)
    if ended.is_normal:
        raise SystemExit(0)
    logger.error("the top of the tree has ended, so the node leaves: %s", ended)
    raise SystemExit(1)
