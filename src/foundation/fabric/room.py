"""Senders that wait until a channel to a node takes more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.waiting import release, wait_among
from foundation.errors import NotDelivered, Overloaded


class Waiters:
    """Those who wait for one node, by channel; a bounded number in each."""

    def __init__(self, node: NodeId, most: int) -> None:
        self._node = node
        self._most = most
        self._waiting: dict[Channel, list[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self, channel: Channel) -> None:
        """Wait until :meth:`wake`; raises :class:`Overloaded` when too many wait, what :meth:`refuse` gives."""
        waiters = self._waiting.setdefault(channel, [])
        if len(waiters) >= self._most:
            message = f"{len(waiters)} senders wait for node {self._node[:8]} already"
            raise Overloaded(message)
        await wait_among(waiters)

    def wake(self, has_room: Callable[[Channel], bool]) -> None:
        """Let those go on for whose channel there is room."""
        for channel in [channel for channel in self._waiting if has_room(channel)]:
            release(self._waiting.pop(channel))

    def refuse(self, reason: str) -> None:
        """Have all raise :class:`NotDelivered`."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            release(waiters, NotDelivered(reason))
