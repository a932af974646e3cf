"""Which cluster the module-level calls act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.errors import NotRunningError

if TYPE_CHECKING:
    from foundation.cluster.cluster import Cluster

_running: list[Cluster] = []


def current_cluster() -> Cluster:
    """Return the one cluster that runs in this program.

    Raises :class:`NotRunningError` when there is none, or more than one: then say which.
    """
    if not _running:
        message = "no cluster runs in this program; start one: async with foundation.start_cluster() as cluster"
        raise NotRunningError(message)
    if len(_running) > 1:
        message = f"{len(_running)} clusters run in this program; call the method of the one that is meant"
        raise NotRunningError(message)
    return _running[0]


def entered(cluster: Cluster) -> None:
    """Note that a cluster runs."""
    _running.append(cluster)


def exited(cluster: Cluster) -> None:
    """Note that a cluster has stopped."""
    if cluster in _running:
        _running.remove(cluster)
