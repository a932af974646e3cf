"""What the names of processes stood for when they were last asked for.

Consistency: a cache, and it may be out of date. It is corrected when a call finds nobody, and when a node goes down.
"""

from __future__ import annotations

import asyncio
from contextvars import Context

from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import NoSuchNameError, NotRunningError
from foundation.processes.ports import Resolver


class Names:
    """Ask a resolver once, however many wait for the answer."""

    def __init__(self, resolver: Resolver, scope: TaskScope) -> None:
        self.resolver = resolver
        self._scope = scope
        self._known: dict[str, ProcessId] = {}
        self._asked: dict[str, asyncio.Task[ProcessId | str]] = {}

    def known(self, name: str) -> ProcessId | None:
        """Return what the name stood for, if that was asked for before."""
        return self._known.get(name)

    async def find(self, name: str) -> ProcessId:
        """Return what the name stands for, or raise :class:`NoSuchNameError`."""
        known = self._known.get(name)
        if known is not None:
            return known
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = self._scope.start(self._ask(name), f"look up {name}", context=Context())
        try:
            answer = await asyncio.shield(asked)
        except asyncio.CancelledError:
            if not asked.cancelled():
                raise
            message = f"this node was stopped while it looked up {name!r}"
            raise NotRunningError(message) from None
        if isinstance(answer, str):
            raise NoSuchNameError(answer)
        return answer

    def forget(self, name: str, process_id: ProcessId) -> None:
        """Ask again next time, unless the name has got a new meaning already."""
        if self._known.get(name) == process_id:
            del self._known[name]

    def node_down(self, node: NodeId) -> None:
        """Forget the names of processes on that node."""
        self._known = {name: process_id for name, process_id in self._known.items() if process_id.node != node}

    async def _ask(self, name: str) -> ProcessId | str:
        try:
            self._known[name] = found = await self.resolver.resolve(name)
        except Exception as error:  # noqa: BLE001 - each who waits raises one of its own
            return str(error) if isinstance(error, NoSuchNameError) else f"looking up {name!r} failed: {error}"
        else:
            return found
        finally:
            del self._asked[name]
