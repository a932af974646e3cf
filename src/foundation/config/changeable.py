"""What can be changed in a cluster that runs, key by key: at once, by a restart of each node, or not at all.

A key is added to one of these tables when it is added to the options; a test demands it. It may stand among those that
are live only if its part looks at the options whenever it uses the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from foundation.config.keys import Key, dotted

When = Literal["live", "restart", "never"]


@dataclass(frozen=True, slots=True)
class Changeable:
    """When a change of a key takes effect."""

    when: When
    note: str = ""
    """For whom it does, or why not at once or not at all."""


_BACKOFF = ("first_s", "most_s", "factor", "jitter")
_LIVE: Mapping[str, tuple[str, ...]] = {
    "discovery": (
        "poll_interval_s",
        "poll_jitter",
        "start_timeout_s",
        "lookup_timeout_s",
        "stop_timeout_s",
        "grace_s",
        "shortest_gap_s",
        "fallback_after_s",
        "most_peers",
        "restart_after",
    ),
    "discovery.backoff": _BACKOFF,
    "membership": (
        "down_after_s",
        "retention_s",
        "announce_after_s",
        "tick_s",
        "stall_s",
        "refused_again_s",
        "most_dials",
    ),
    "membership.redial": _BACKOFF,
    "fabric": (
        "credentials_poll_s",
        "handshake_timeout_s",
        "max_strangers",
        "stall_s",
        "acknowledge_after_s",
    ),
    "fabric.redial": _BACKOFF,
    "processes": ("call_timeout_s", "aside_capacity", "garbage_log_interval_s"),
    "registry": ("register_timeout_s", "look_up_timeout_s", "retry_s"),
    "replication": (
        "compare_interval_s",
        "want_timeout_s",
        "retention_s",
        "piece_bytes",
        "most_ahead",
    ),
    "distribution": (
        "start_timeout_s",
        "stable_s",
        "leave_timeout_s",
        "batch",
        "forget_after_s",
        "rebalance",
        "rebalance_after_s",
        "rebalance_per_s",
    ),
    "distribution.place_again": _BACKOFF,
}

_NEW_PROCESSES = "for processes that start from now on"
_LIVE_FOR_SOME: Mapping[str, str] = {
    "processes.mailbox_capacity": _NEW_PROCESSES,
    "processes.mailbox_overflow_bytes": _NEW_PROCESSES,
    "processes.stop_timeout_s": _NEW_PROCESSES,
    "processes.timer_capacity": _NEW_PROCESSES,
    "processes.turn_messages": _NEW_PROCESSES,
}

_SESSION = "it is settled when the session opens"
_LINK = "it is settled when two nodes meet"
_ONCE = "it is settled when the node starts"
_START = "it is for the start of a node"
_RESTART: Mapping[str, str] = {
    "fabric.lease_s": _SESSION,
    "fabric.open_timeout_s": _SESSION,
    "fabric.introduction_timeout_s": _SESSION,
    "fabric.direct_links": _LINK,
    "fabric.window_bytes": _LINK,
    "fabric.bulk_queue_s": _LINK,
    "fabric.queue_bytes": _LINK,
    "fabric.most_waiters": _LINK,
    "fabric.most_frame_bytes": _LINK,
    "processes.most_waiters": _ONCE,
    "processes.stream_credit": _ONCE,
    "processes.offload_threads": _ONCE,
    "processes.offload_processes": _ONCE,
    "processes.stuck_after_s": _ONCE,
    "processes.slow_handler_s": _ONCE,
    "processes.slow_log_interval_s": _ONCE,
    "registry.max_drift_s": _ONCE,
    "distribution.moves_at_once": _ONCE,
    "min_members": _START,
    "join_timeout_s": _START,
    "majority_of_found": _START,
}

_THIS_NODE = "it belongs to one node; change it where that node is configured, and restart the node"
_CREDENTIALS = "credentials are replaced node by node, through their files or cluster.credentials.renew()"
_IDENTITY = "it says which cluster this is; start nodes with another one"
_FINDING = "strategies are made when a node starts; change it where each node is configured, and restart them in turn"
_FILE_ONLY = "it says how a configuration is read; change the keys themselves"
_ENGINE = "nodes with another engine could not meet the others; stop all nodes and start them with it"
_ROWS = "the settings are rows too, and could become too large to change back; change it where each node is configured"
_NEVER: Mapping[str, str] = {
    "name": _THIS_NODE,
    "roles": _THIS_NODE,
    "metadata": _THIS_NODE,
    "observer": _THIS_NODE,
    "peers": _THIS_NODE,
    "probe_port": _THIS_NODE,
    "probe_host": _THIS_NODE,
    "handle_signals": _THIS_NODE,
    "fabric.host": _THIS_NODE,
    "fabric.port": _THIS_NODE,
    "fabric.session_port": _THIS_NODE,
    "fabric.transport": _ENGINE,
    "fabric.tls": _CREDENTIALS,
    "cookie": _CREDENTIALS,
    "cookie_file": _CREDENTIALS,
    "cluster_name": _IDENTITY,
    "cluster": _FINDING,
    "fallback": _FINDING,
    "strategies": _FINDING,
    "profile": _FILE_ONLY,
    "clusters": _FILE_ONLY,
    "replication.most_row_bytes": _ROWS,
}

UNDECLARED = "nothing says that its part could take another value"


def changeable(key: Key) -> Changeable:
    """Return when a change of a full key that exists takes effect; one that is in no table is not changed."""
    name = dotted(key)
    if key[-1] in _LIVE.get(dotted(key[:-1]), ()):
        return Changeable("live")
    if (note := _LIVE_FOR_SOME.get(name)) is not None:
        return Changeable("live", note)
    if (note := _RESTART.get(name)) is not None:
        return Changeable("restart", note)
    for length in range(len(key), 0, -1):
        if (note := _NEVER.get(dotted(key[:length]))) is not None:
            return Changeable("never", note)
    return Changeable("never", UNDECLARED)


def declared() -> list[str]:
    """Return every key of the tables."""
    live = [f"{section}.{name}" for section, names in _LIVE.items() for name in names]
    return [*live, *_LIVE_FOR_SOME, *_RESTART, *_NEVER]
