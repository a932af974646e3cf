"""Senders that wait until a channel to a node takes more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
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
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in waiters:
                waiters.remove(waiter)

    def wake(self, has_room: Callable[[Channel], bool]) -> None:
        """Let those go on for whose channel there is room."""
        for channel in [channel for channel in self._waiting if has_room(channel)]:
            _release(self._waiting.pop(channel))

    def refuse(self, reason: str) -> None:
        """Have all raise :class:`NotDelivered`."""
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            _release(waiters, NotDelivered(reason))


def _release(waiters: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
