"""The host, as a reference sees it."""

from __future__ import annotations

from typing import Protocol

from foundation.core.channels import Channel
from foundation.core.identity import ProcessId
from foundation.processes.calling.calls import Calls
from foundation.processes.messages import Cast, Message
from foundation.processes.options import ProcessOptions


class Dialer(Protocol):
    """The host as a reference sees it."""

    calls: Calls
    options: ProcessOptions

    async def post(self, target: ProcessId, frame: Cast | Message, channel: Channel, timeout_s: float | None) -> None:
        """Send a frame that nobody answers; waits while the way to the process or its mailbox is full."""
        ...

    def known(self, name: str) -> ProcessId | None:
        """Return the process that has the name, as far as this node knows."""
        ...

    async def find(self, name: str) -> ProcessId:
        """Return the process that has the name, asking who may know more; raises :class:`NoSuchNameError`."""
        ...

    def is_followed(self, name: str) -> bool:
        """Tell whether who calls that name waits for it, and follows it to another process."""
        ...

    async def follow(self, name: str, last: ProcessId) -> ProcessId:
        """Return the process that has the name, once it is another one; raises :class:`NoSuchNameError`."""
        ...
