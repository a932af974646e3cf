"""What processes need from the layers around them."""

from __future__ import annotations

from typing import Protocol

from foundation.core.channels import Channel
from foundation.core.identity import NodeId, ProcessId


class Wire(Protocol):
    """Carries frames to other nodes and to this one, in order per node and channel."""

    @property
    def node_id(self) -> NodeId:
        """The node that this end belongs to."""
        ...

    def send(self, node: NodeId, frame: bytes, channel: Channel) -> None:
        """Queue one encoded frame; never waits, and never delivers within the call, not even to the own node.

        Raises :class:`~foundation.errors.NotDelivered` when ``node`` is not a member, and
        :class:`~foundation.errors.Overloaded` when too much waits for it in that channel.
        """
        ...

    def room(self, node: NodeId, channel: Channel) -> bool:
        """Tell whether little enough waits for a node that a sender may add to it without :meth:`wait_for_room`."""
        ...

    async def wait_for_room(self, node: NodeId, channel: Channel) -> None:
        """Wait until there is room in a channel.

        Raises :class:`~foundation.errors.NotDelivered` when the node goes meanwhile, and
        :class:`~foundation.errors.Overloaded` when too many wait already.
        """
        ...


class Registrar(Protocol):
    """Knows which process has a name, and gives names to processes of this node."""

    def known(self, name: str) -> ProcessId | None:
        """Return the process with that name, as far as this node knows; at once."""
        ...

    async def find(self, name: str) -> ProcessId:
        """Return the process with that name, asking who may know more; raises NoSuchNameError."""
        ...

    async def register(self, name: str, serial: int, wire_name: str) -> None:
        """Give a process of this node a name; raises :class:`~foundation.errors.NameTakenError`."""
        ...

    def is_followed(self, name: str) -> bool:
        """Tell whether a name may be that of another process soon, for which a caller is to wait."""
        ...

    async def follow(self, name: str, last: ProcessId) -> ProcessId:
        """Return the process with that name once it is another one than ``last``; raises NoSuchNameError."""
        ...

    def release(self, serial: int) -> None:
        """Take back all names of a process of this node: it has ended."""
        ...
