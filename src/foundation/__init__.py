"""Distributed Python as easy as single-node Python: a masterless cluster in a library.

Layout, from the top down; a package imports only from those below it::

    cli, examples, testing    edges: the command line, what to read first, the kit for tests
    cluster                   puts the parts of a node together, starts and stops them in order
    reconfiguration           change what all nodes are while they run
    config                    what a node is to be: defaults, file, secrets, environment, arguments
    distribution              children that run somewhere, whatever becomes of single nodes
    registry                  names, groups, presence
    membership | processes    who is in the cluster | processes, references, mailboxes, calls, monitors, supervisors
    replication               tables that one node writes and all hold
    discovery | fabric        finding peers | presence, frames and topics over Zenoh
    core                      identity, clock, tasks, events, codec, call context
    errors                    every error, drawn as one tree
"""

from importlib import import_module
from sys import modules

# As in typing, to import which would take ten times as long as this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from foundation.cluster import ANY, Cluster, ClusterInfo, current_cluster, start_cluster
    from foundation.cluster.module_calls import (
        await_name,
        children,
        cluster_info,
        drain,
        events,
        groups,
        members,
        migrate,
        monitor,
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
    from foundation.core.backoff import Backoff
    from foundation.core.version import __version__
    from foundation.distribution import Children, ChildReport, Placement
    from foundation.membership import (
        Member,
        MemberDown,
        MemberEvent,
        MemberJoining,
        MemberLeaving,
        MemberLeft,
        MemberReachable,
        MemberStatus,
        MemberUnreachable,
        MemberUp,
        MemberUpdated,
    )
    from foundation.processes import (
        Child,
        ChildCount,
        ChildInfo,
        Ended,
        EndReason,
        Monitor,
        Process,
        ProcessInfo,
        Spec,
        Supervisor,
        Timer,
        cast,
        child,
        concurrent,
        idempotent,
        offload,
        options,
        register_type,
        spec,
        supervisor,
    )
    from foundation.registry import GroupChange, GroupMember, NameEvent, NameReason, PresenceDiff, PresenceMeta

__all__ = [
    "ANY",
    "Backoff",
    "Child",
    "ChildCount",
    "ChildInfo",
    "ChildReport",
    "Children",
    "Cluster",
    "ClusterInfo",
    "EndReason",
    "Ended",
    "GroupChange",
    "GroupMember",
    "Member",
    "MemberDown",
    "MemberEvent",
    "MemberJoining",
    "MemberLeaving",
    "MemberLeft",
    "MemberReachable",
    "MemberStatus",
    "MemberUnreachable",
    "MemberUp",
    "MemberUpdated",
    "Monitor",
    "NameEvent",
    "NameReason",
    "Placement",
    "PresenceDiff",
    "PresenceMeta",
    "Process",
    "ProcessInfo",
    "Spec",
    "Supervisor",
    "Timer",
    "__version__",
    "await_name",
    "cast",
    "child",
    "children",
    "cluster_info",
    "concurrent",
    "current_cluster",
    "drain",
    "events",
    "groups",
    "idempotent",
    "members",
    "migrate",
    "monitor",
    "offload",
    "options",
    "presence",
    "reconfigure",
    "ref",
    "register",
    "register_type",
    "send",
    "shard",
    "spec",
    "start_cluster",
    "start_process",
    "start_processes",
    "start_supervisor",
    "stop_process",
    "supervisor",
    "undrain",
    "unregister",
    "wait_for_sync",
    "whereis",
]

# Where the public names come from: a program loads what it uses, when it uses it.
_HOMES = {
    "foundation.cluster": ("ANY", "Cluster", "ClusterInfo", "current_cluster", "start_cluster"),
    "foundation.cluster.module_calls": (
        "await_name",
        "children",
        "cluster_info",
        "drain",
        "events",
        "groups",
        "members",
        "migrate",
        "monitor",
        "presence",
        "reconfigure",
        "ref",
        "register",
        "send",
        "shard",
        "start_process",
        "start_processes",
        "start_supervisor",
        "stop_process",
        "undrain",
        "unregister",
        "wait_for_sync",
        "whereis",
    ),
    "foundation.core.backoff": ("Backoff",),
    "foundation.core.version": ("__version__",),
    "foundation.distribution": ("Children", "ChildReport", "Placement"),
    "foundation.membership": (
        "Member",
        "MemberDown",
        "MemberEvent",
        "MemberJoining",
        "MemberLeaving",
        "MemberLeft",
        "MemberReachable",
        "MemberStatus",
        "MemberUnreachable",
        "MemberUp",
        "MemberUpdated",
    ),
    "foundation.processes": (
        "Child",
        "ChildCount",
        "ChildInfo",
        "Ended",
        "EndReason",
        "Monitor",
        "Process",
        "ProcessInfo",
        "Spec",
        "Supervisor",
        "Timer",
        "cast",
        "child",
        "concurrent",
        "idempotent",
        "offload",
        "options",
        "register_type",
        "spec",
        "supervisor",
    ),
    "foundation.registry": ("GroupChange", "GroupMember", "NameEvent", "NameReason", "PresenceDiff", "PresenceMeta"),
}

# What a program can reach as an attribute without importing it.
_PACKAGES = (
    "cluster",
    "config",
    "core",
    "discovery",
    "distribution",
    "errors",
    "fabric",
    "membership",
    "processes",
    "reconfiguration",
    "registry",
    "replication",
)


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(home), name)
            return value
    if name in _PACKAGES:
        return import_module(f"foundation.{name}")
    message = f"module 'foundation' has no attribute {name!r}"
    raise AttributeError(message, name=name, obj=modules[__name__])


def __dir__() -> list[str]:
    return [*__all__, *_PACKAGES, *(name for name in globals() if name.startswith("__") and name not in __all__)]
