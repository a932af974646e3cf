"""The same cluster for threads: scripts, Flask, Django, notebooks.

``with foundation.blocking.start_cluster() as cluster:`` runs the node on an event loop in a daemon thread. The calls
are those of :mod:`foundation` and wait for their results: ``counter.add(2)`` returns the number. They wrap the same
objects, and every thread may use them at once, but none in which an event loop is running.
"""

from foundation.blocking.children import Children
from foundation.blocking.cluster import Cluster
from foundation.blocking.module_calls import (
    await_name,
    call,
    cast,
    children,
    cluster_info,
    drain,
    events,
    groups,
    members,
    migrate,
    monitor,
    options,
    presence,
    reconfigure,
    ref,
    register,
    send,
    shard,
    start_process,
    start_processes,
    start_supervisor,
    stop_process,
    undrain,
    unregister,
    wait_for_sync,
    whereis,
)
from foundation.blocking.reference import Blocking
from foundation.blocking.registry import Groups, Presence, Registry
from foundation.blocking.starting import current_cluster, start_cluster
from foundation.blocking.stream import Stream

__all__ = [
    "Blocking",
    "Children",
    "Cluster",
    "Groups",
    "Presence",
    "Registry",
    "Stream",
    "await_name",
    "call",
    "cast",
    "children",
    "cluster_info",
    "current_cluster",
    "drain",
    "events",
    "groups",
    "members",
    "migrate",
    "monitor",
    "options",
    "presence",
    "reconfigure",
    "ref",
    "register",
    "send",
    "shard",
    "start_cluster",
    "start_process",
    "start_processes",
    "start_supervisor",
    "stop_process",
    "undrain",
    "unregister",
    "wait_for_sync",
    "whereis",
]
