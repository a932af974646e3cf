"""Who is whose child: a process that another one of its node started, and that does not outlive it.

Consistency: a child is known from before it runs until it has ended, and its parent is told of the end after its names
are free again.
"""

from __future__ import annotations

from collections.abc import Mapping

from foundation.core.identity import ProcessId
from foundation.errors import NotRunningError
from foundation.processes.ended import EndReason
from foundation.processes.nursery import Custody
from foundation.processes.serving.requests import Hook
from foundation.processes.serving.running import Running
from foundation.processes.ties import Holder


class Families:
    """The children of the processes of one node."""

    def __init__(self, running: Mapping[int, Running], holder: Holder) -> None:
        """``running`` are all processes that run, by serial."""
        self.node_stops = False
        """Whether children end because their node stops."""
        self._running = running
        self._holder = holder
        self._parents: dict[int, int] = {}
        self._children: dict[int, dict[int, None]] = {}

    def adopt(self, custody: Custody, child: Running) -> None:
        """Enter a child, before it runs; raises NotRunningError when its parent has ended."""
        serial = child.process_id.serial
        if custody.parent not in self._running:
            message = f"the parent of {child.label} has ended"
            raise NotRunningError(message)
        self._parents[serial] = custody.parent
        self._children.setdefault(custody.parent, {})[serial] = None
        child.stop_timeout_s = custody.stop_timeout_s or child.stop_timeout_s

    def is_child(self, serial: int) -> bool:
        """Tell whether a process has a parent."""
        return serial in self._parents

    async def stop(self, child: ProcessId, reason: str) -> None:
        """Stop a child on behalf of its parent; nothing, when it has ended."""
        if (running := self._running.get(child.serial)) is not None:
            await running.stop(reason, EndReason.NODE_LEFT if self.node_stops else EndReason.STOPPED)

    def ended(self, running: Running) -> None:
        """End the children of a process that has ended, and tell its parent."""
        serial = running.process_id.serial
        kind = EndReason.NODE_LEFT if self.node_stops else EndReason.LINKED
        for orphan in reversed(self._children.pop(serial, {})):
            del self._parents[orphan]
            self._holder.end(orphan, f"its parent {running.label} has ended", kind)
        parent = self._parents.pop(serial, None)
        if parent is not None:
            self._leave(parent, serial)
            ended = running.ended()
            self._holder.tell(parent, Hook("handle_ended", lambda process: process.handle_ended(ended)))

    def _leave(self, parent: int, child: int) -> None:
        siblings = self._children[parent]
        del siblings[child]
        if not siblings:
            del self._children[parent]
