"""Find names, and wait for them: the part of a node's names that only looks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from foundation.core.events import EventSource, EventStream
from foundation.core.identity import ProcessId
from foundation.errors import CallTimeout, NoSuchNameError
from foundation.registry.child_index import ChildIndex
from foundation.registry.events import NameEvent
from foundation.registry.index import NameIndex
from foundation.registry.rows import NAMES, NameRow
from foundation.registry.seeker import Seeker
from foundation.replication.replica import Replica


class NameLookup:
    """What this node knows of names, and whom it asks when it does not."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._conflicts: dict[str, None] = {}
        self.index = NameIndex(replica, self._conflicts)
        self.children = ChildIndex(replica, self.index.is_shown)
        self._events: EventSource[tuple[NameEvent, ...]] = EventSource()
        self._by_serial: dict[int, list[str]] = {}
        """The keys of the own names, by process."""
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}
        self._seeker: Seeker

    def known(self, name: str) -> ProcessId | None:
        """Return whose a name is, as far as this node has heard: at once, and without asking anybody."""
        return self.index.find(NAMES + name)

    async def find(self, name: str) -> ProcessId:
        """Return whose a name is; when this node has not heard of it, ask the name's home, who knows first.

        Waits for a child that has no process at the moment. Raises :class:`NoSuchNameError`.
        """
        key = NAMES + name
        if (found := self.index.find(key)) is not None:
            return found
        if not self.children.is_expected(key):
            found = await self._seeker.seek(key) or self.index.find(key)
        if found is None and self.children.is_expected(key):
            return await self.follow(name)  # it is being moved, or has lost its node, and will run again
        if found is None:
            message = f"no process is named {name!r}"
            raise NoSuchNameError(message)
        return found

    def is_followed(self, name: str) -> bool:
        """Tell whether a name is that of a child, which may change its node: who calls it waits and follows."""
        return self.children.is_expected(NAMES + name)

    async def follow(self, name: str, last: ProcessId | None = None) -> ProcessId:
        """Return which process has a child's name, once it is another one than ``last``.

        Raises :class:`NoSuchNameError` when the child is terminated meanwhile.
        """
        key = NAMES + name
        while (found := self.index.find(key)) is None or found == last:
            if not self.children.is_expected(key):
                message = f"no process is named {name!r} any more"
                raise NoSuchNameError(message)
            await self._change(key)
        return found

    async def await_name(self, name: str, timeout_s: float | None = None) -> ProcessId:
        """Wait until somebody has a name; raises :class:`CallTimeout`."""
        key = NAMES + name
        try:
            async with asyncio.timeout(timeout_s):
                while (found := self.index.find(key)) is None:
                    await self._change(key)
        except TimeoutError:
            message = f"nobody was named {name!r} within {timeout_s} s"
            raise CallTimeout(message) from None
        return found

    def metadata(self, name: str) -> dict[str, Any] | None:
        """Return the metadata of a name; None when nobody has the name."""
        seen = self.index.see(NAMES + name)
        return None if seen is None else dict(seen[1].metadata or {})

    def names(self, prefix: str = "", metadata: Mapping[str, Any] | None = None) -> list[str]:
        """Return the names that begin so and whose metadata has all of that, in order."""
        start = NAMES + prefix
        keys = (key for key in self.index if key.startswith(start))
        if metadata:
            wanted = metadata.items()
            keys = (key for key in keys if (seen := self.index.see(key)) and (seen[1].metadata or {}).items() >= wanted)
        return sorted(key[1:] for key in keys)

    def own(self) -> dict[str, ProcessId]:
        """Return the names of processes of this node."""
        me = self._replica.me
        return {key[1:]: ProcessId(me, serial) for serial, keys in self._by_serial.items() for key in keys}

    def count(self) -> int:
        """Return how many names there are."""
        return len(self.index)

    def watch(self) -> EventStream[tuple[NameEvent, ...]]:
        """Return what happens to names from now on, in batches as it arrives."""
        self.index.is_watched = True
        return self._events.stream(())

    # --- inside

    async def _change(self, key: str) -> None:
        """Wait until something happens to a name."""
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(key, []).append(arrival)
        await arrival

    def _own(self, key: str) -> NameRow | None:
        row = self._replica.own.rows.get(key)
        return None if row is None or type(row.value) is not NameRow else row.value

    def _tell(self, events: list[NameEvent]) -> None:
        if events:
            self._events.emit(tuple(events))
        if self._awaited:
            self._tell_arrivals(NAMES + event.name for event in events)

    def _tell_arrivals(self, keys: Iterable[str]) -> None:
        for key in keys:
            for arrival in self._awaited.pop(key, ()):
                if not arrival.done():
                    arrival.set_result(None)
