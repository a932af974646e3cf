"""What every node does for the others in its own rows: names, groups and presences of its processes."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from foundation.core.identity import NodeId, ProcessId
from foundation.processes import AGENT_SERIAL, Host, Process, concurrent, wire_name_of
from foundation.registry.group_table import GroupTable
from foundation.registry.names import Names
from foundation.registry.presence_table import PresenceTable

CLERK_SERIAL = AGENT_SERIAL - 1
_MOST_LISTED = 1000


class GroupCount(Struct, frozen=True):
    """How many processes of one node are in a group."""

    scope: str
    group: str
    members: int


class Holdings(Struct, frozen=True):
    """What the rows of one node say, for people."""

    names: int
    first_names: dict[str, ProcessId]
    """At most 1,000 of the names, in order."""
    groups: int
    first_groups: list[GroupCount]
    """At most 1,000 of the groups, in order."""
    presences: int
    children: int = 0
    """Distributed children that the node has."""


class Clerk(Process, wire_name="foundation:clerk"):
    """Keeps the rows of its node on behalf of others. Its methods run beside each other: a slow claim blocks nobody."""

    def __init__(self, host: Host, names: Names, groups: GroupTable, presence: PresenceTable) -> None:
        self._host = host
        self._names = names
        self._groups = groups
        self._presence = presence

    @concurrent
    async def register(
        self, name: str, process_id: ProcessId, metadata: dict[str, Any] | None, timeout_s: float | None
    ) -> None:
        """Give a process a name; raises NameTakenError, NoSuchProcessError."""
        await register(self._host, self._names, name, process_id, metadata, timeout_s)

    @concurrent
    async def unregister(self, name: str, process_id: ProcessId) -> None:
        """Take a name back; raises NoSuchNameError."""
        self._names.unregister(name, process_id.serial)

    @concurrent
    async def update_metadata(self, name: str, metadata: dict[str, Any]) -> None:
        """Replace the metadata of a name; raises NoSuchNameError."""
        self._names.update_metadata(name, metadata)

    @concurrent
    async def join(self, scope: str, group: str, process_id: ProcessId, metadata: dict[str, Any] | None) -> None:
        """Enter a process; raises NoSuchProcessError."""
        cls = self._host.class_of(process_id)
        self._groups.join((scope, group), process_id.serial, wire_name_of(cls), metadata)

    @concurrent
    async def leave(self, scope: str, group: str, process_id: ProcessId) -> None:
        """Take a process out of a group."""
        self._groups.leave((scope, group), process_id.serial)

    @concurrent
    async def track(self, topic: str, key: str, meta: Any, process_id: ProcessId) -> None:  # noqa: ANN401
        """Track something as long as a process runs; raises NoSuchProcessError."""
        self._host.class_of(process_id)
        self._presence.track(process_id.serial, topic, key, meta)

    @concurrent
    async def update(self, topic: str, key: str, meta: Any, process_id: ProcessId) -> None:  # noqa: ANN401
        """Replace the meta of what is tracked; raises NotTrackedError."""
        self._presence.update(process_id.serial, topic, key, lambda _: meta)

    @concurrent
    async def untrack(self, topic: str, key: str, process_id: ProcessId) -> None:
        """Track something no longer."""
        self._presence.untrack(process_id.serial, topic, key)

    @concurrent
    async def holdings(self) -> Holdings:
        """Say what the rows of this node hold."""
        own = self._names.own()
        counts = [GroupCount(*place, members) for place, members in sorted(self._groups.own_counts().items())]
        first = dict(sorted(own.items())[:_MOST_LISTED])
        children = len(self._names.children.held_by(self._host.node_id))
        return Holdings(len(own), first, len(counts), counts[:_MOST_LISTED], self._presence.own_count(), children)


def clerk_of(host: Host, node: NodeId) -> Clerk:
    """Return a reference to the clerk of a node."""
    return host.reference(Clerk, ProcessId(node, CLERK_SERIAL))


async def register(
    host: Host,
    names: Names,
    name: str,
    process_id: ProcessId,
    metadata: dict[str, Any] | None,
    timeout_s: float | None,
) -> None:
    """Give a process of this node a name, unless it ends meanwhile: then nobody is left to take the name back."""
    wire_name = wire_name_of(host.class_of(process_id))
    await names.register(name, process_id.serial, wire_name, metadata, timeout_s)
    try:
        host.class_of(process_id)
    except BaseException:
        names.release(process_id.serial)
        raise
