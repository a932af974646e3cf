"""The processes that have asked to be sent nothing more for now, and who waits until they go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from foundation.core.identity import NodeId, ProcessId
from foundation.core.waiting import Waiters, release, wait_among
from foundation.errors import NotDelivered, Overloaded


class Holds:
    """Keep senders from processes whose mailboxes are filling up.

    Consistency: a hold ends by the word of the process's node, or with that node; the session loses neither.
    """

    def __init__(self, most_waiters: int) -> None:
        self.held: dict[ProcessId, Waiters] = {}
        """Mostly empty, and open to the senders, so that looking costs no call."""
        self._most_waiters = most_waiters

    def hold(self, process_id: ProcessId) -> None:
        """Let senders wait from now on."""
        self.held.setdefault(process_id, [])

    def release(self, process_id: ProcessId) -> None:
        """Let them go on."""
        release(self.held.pop(process_id, []))

    def node_down(self, node: NodeId) -> None:
        """Tell those who wait for processes of that node that nothing was delivered."""
        self._end([held for held in self.held if held.node == node], f"node {node[:8]} went down")

    def close(self) -> None:
        """Tell all who wait."""
        self._end(list(self.held), "this node is stopped")

    async def wait(self, process_id: ProcessId, timeout_s: float | None) -> None:
        """Wait while a process is held; raises Overloaded when that takes too long, or when too many wait."""
        try:
            async with asyncio.timeout(timeout_s):
                while (waiters := self.held.get(process_id)) is not None:
                    if len(waiters) >= self._most_waiters:
                        message = f"{len(waiters)} senders wait for {process_id} already, whose mailbox is full"
                        raise Overloaded(message)
                    await wait_among(waiters)
        except TimeoutError:
            message = f"the mailbox of {process_id} was full for {timeout_s:.3g} s"
            raise Overloaded(message) from None

    def _end(self, process_ids: Iterable[ProcessId], reason: str) -> None:
        for process_id in process_ids:
            release(self.held.pop(process_id), NotDelivered(reason))
