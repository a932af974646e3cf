"""The port of every way to find peers."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable

from foundation.core.secret import Secret
from foundation.discovery.peers import Announcement, Peer


class DiscoveryStrategy(ABC):
    """Look up peers and, where that applies, announce this node.

    A strategy never retries, compares, logs failures or disconnects anybody: it raises, and the framework
    does the rest. Each method runs in the event loop, must not block it, and is cancelled at its time limit.
    """

    poll_interval_s: float | None = None
    """Seconds between two lookups, where this strategy knows better than the framework's option."""

    announces: bool = True
    """Whether to announce this node. False, set before the start, is for who only looks: then nothing is written."""

    def use_cookie(self, cookie: Secret) -> None:  # noqa: B027 - optional
        """Learn the secret that all nodes share, for what only they may read: before a start, and when it changes."""

    async def start(self, announcement: Announcement) -> None:  # noqa: B027 - optional
        """Open what is needed and announce this node. After a failure :meth:`stop` is called, then this."""

    @abstractmethod
    async def lookup(self) -> Iterable[Peer]:
        """Return who is there now. This node itself may be among them."""

    async def wait_changed(self) -> None:
        """Return when a lookup would find something new; without a way to know, wait for ever."""
        await asyncio.Event().wait()

    async def stop(self) -> None:  # noqa: B027 - optional
        """Take the announcement back and close everything; safe at any time, also twice or never started."""
