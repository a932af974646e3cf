"""Names of processes, as the users of a cluster have them in hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from foundation.core.events import EventStream
from foundation.core.identity import ProcessId
from foundation.errors import ArgumentError, NoSuchNameError
from foundation.processes import Host, process_id_of, told
from foundation.registry.clerk import clerk_of, register
from foundation.registry.events import NameEvent
from foundation.registry.names import Names

Metadata = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]


class Registry:
    """Give processes names, and find them. All methods belong to the event loop of the cluster.

    A name belongs to one process at most while the cluster is whole. Across a partition each side goes on; after the
    heal one of two processes keeps it, the one that claimed it first. Looking takes no round trip.
    """

    def __init__(self, names: Names, host: Host) -> None:
        self._names = names
        self._host = host

    async def register(
        self,
        name: str,
        reference: object,
        metadata: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Give a process, of any node, a name; it may have several. ``metadata`` are plain values that all can see.

        The name is there for this node when this returns, and for all after ``cluster.wait_for_sync()``. It is taken
        back when the process ends. Raises :class:`NameTakenError`, :class:`NoSuchProcessError`, and
        :class:`CallTimeout` when the members do not agree within ``timeout_s`` on who is in.
        """
        process_id = process_id_of(reference)
        given = dict(metadata) if metadata else None
        if process_id.node == self._host.node_id:
            await register(self._host, self._names, name, process_id, given, timeout_s)
        else:
            await told(clerk_of(self._host, process_id.node).register(name, process_id, given, timeout_s))
            await self._names.await_name(name, self._names.options.register_timeout_s)

    async def unregister(self, name: str) -> None:
        """Take a name back from the process that has it, as far as this node knows; raises NoSuchNameError."""
        process_id = self._owner(name)
        if process_id.node == self._host.node_id:
            self._names.unregister(name, process_id.serial)
        else:
            await told(clerk_of(self._host, process_id.node).unregister(name, process_id))

    async def update_metadata(self, name: str, metadata: Metadata) -> None:
        """Replace the metadata of a name, or change it by a function of what it was.

        Raises :class:`NoSuchNameError`; :class:`ArgumentError` for a function about a process of another node.
        """
        process_id = self._owner(name)
        if process_id.node == self._host.node_id:
            self._names.update_metadata(name, metadata)
        elif callable(metadata):
            message = f"a function does not travel: update {name!r} on the node of its process, or give the metadata"
            raise ArgumentError(message)
        else:
            await told(clerk_of(self._host, process_id.node).update_metadata(name, dict(metadata)))

    def whereis(self, name: str) -> ProcessId | None:
        """Return which process has a name, as far as this node has heard."""
        return self._names.known(name)

    async def await_name(self, name: str, timeout_s: float | None = None) -> ProcessId:
        """Wait until somebody has a name and return who; raises :class:`CallTimeout`."""
        return await self._names.await_name(name, timeout_s)

    def metadata(self, name: str) -> dict[str, Any] | None:
        """Return the metadata of a name; None when nobody has it."""
        return self._names.metadata(name)

    def names(self, prefix: str = "", metadata: Mapping[str, Any] | None = None) -> list[str]:
        """Return the names that begin so and whose metadata has all of that, in order."""
        return self._names.names(prefix, metadata)

    def count(self) -> int:
        """Return how many names there are; as quick for many as for few."""
        return self._names.count()

    def watch(self, prefix: str = "") -> NameWatch:
        """Return what happens to names that begin so from now on, in batches as it arrives."""
        return NameWatch(self._names.watch(), prefix)

    def _owner(self, name: str) -> ProcessId:
        if (process_id := self._names.known(name)) is None:
            message = f"no process is named {name!r}"
            raise NoSuchNameError(message)
        return process_id


class NameWatch:
    """An async iterator of batches of :class:`NameEvent`; it ends with the cluster, or when it is closed."""

    def __init__(self, events: EventStream[tuple[NameEvent, ...]], prefix: str) -> None:
        self._events = events
        self._prefix = prefix

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[NameEvent, ...]:
        while True:
            batch = await anext(self._events)
            wanted = tuple(event for event in batch if event.name.startswith(self._prefix))
            if wanted:
                return wanted

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Watch no longer."""
        self._events.close()
