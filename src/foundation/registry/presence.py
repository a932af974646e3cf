"""Presence: who is online in which topic, with what they say about themselves."""

from __future__ import annotations

from typing import Any

from foundation.core.events import EventStream
from foundation.core.identity import NodeId
from foundation.errors import ArgumentError
from foundation.processes import Host, process_id_of, told
from foundation.registry.clerk import clerk_of
from foundation.registry.presence_table import NODE_ITSELF, PresenceDiff, PresenceMeta, PresenceTable

# Within the class `list` is its method.
Metas = list[Any]
Entries = list[PresenceMeta]
Topics = list[str]


class Presence:
    """Track who is present, and see who is, on any node. All methods belong to the event loop of the cluster.

    Several presences may have one key: a user in two browser tabs, on two nodes. What a node tracks is hidden while
    this one cannot reach it, and gone when it is down.
    """

    def __init__(self, table: PresenceTable, host: Host) -> None:
        self._table = table
        self._host = host

    async def track(self, topic: str, key: str, meta: Any = None, *, process: object | None = None) -> None:  # noqa: ANN401
        """Let somebody be present in a topic, as long as this node is in the cluster; again replaces the meta.

        With ``process``, a reference, it is as long as that process runs, wherever. ``meta`` is a plain value. Raises
        :class:`NoSuchProcessError`, and :class:`ArgumentError` for a meta that cannot travel, or that is too large.
        """
        node, serial = self._whose(process)
        if node != self._table.me:
            await told(clerk_of(self._host, node).track(topic, key, meta, process_id_of(process)))
        else:
            if process is not None:
                self._host.class_of(process_id_of(process))
            self._table.track(serial, topic, key, meta)

    async def update(self, topic: str, key: str, meta: Any, *, process: object | None = None) -> None:  # noqa: ANN401
        """Replace the meta of what is tracked, or change it by a function of what it was.

        Raises :class:`NotTrackedError`; :class:`ArgumentError` also for a function about a process of another node.
        """
        node, serial = self._whose(process)
        if node == self._table.me:
            self._table.update(serial, topic, key, meta if callable(meta) else lambda _: meta)
        elif callable(meta):
            message = f"a function does not travel: update {key!r} on the node of its process, or give a value"
            raise ArgumentError(message)
        else:
            await told(clerk_of(self._host, node).update(topic, key, meta, process_id_of(process)))

    async def untrack(self, topic: str, key: str, *, process: object | None = None) -> None:
        """Let somebody not be present any more; nothing happens when it was not."""
        node, serial = self._whose(process)
        if node == self._table.me:
            self._table.untrack(serial, topic, key)
        else:
            await told(clerk_of(self._host, node).untrack(topic, key, process_id_of(process)))

    def list(self, topic: str) -> dict[str, Metas]:
        """Return the metas of all who are present, by key, at once and without asking anybody."""
        return {key: [found.meta for found in metas] for key, metas in self._table.entries(topic).items()}

    def entries(self, topic: str) -> dict[str, Entries]:
        """Return the same with refs, nodes and processes."""
        return self._table.entries(topic)

    def get(self, topic: str, key: str) -> Metas:
        """Return the metas under one key; none when nobody is present."""
        return [found.meta for found in self._table.metas(topic, key)]

    def count(self, topic: str) -> int:
        """Return how many keys are present in a topic; as quick for many as for few."""
        return self._table.count(topic)

    def topics(self) -> Topics:
        """Return the topics in which anybody is present, in order."""
        return self._table.topics()

    def watch(self, topic: str) -> EventStream[PresenceDiff]:
        """Return who comes to a topic and leaves it from now on: what happens at once is one diff."""
        return self._table.watch(topic)

    def _whose(self, process: object | None) -> tuple[NodeId, int]:
        if process is None:
            return self._table.me, NODE_ITSELF
        process_id = process_id_of(process)
        return process_id.node, process_id.serial
