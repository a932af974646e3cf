"""A wire in memory between hosts of one test, with members that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from foundation.core.identity import NodeId, new_node_id
from foundation.errors import NotDelivered
from foundation.processes.host import Host

Watch = Callable[[NodeId, NodeId, bytes], bool]


class Network:
    """Who is a member, and what happens to frames on the way."""

    def __init__(self) -> None:
        self.hosts: dict[NodeId, Host] = {}
        self.members: set[NodeId] = set()
        self.crowded: set[NodeId] = set()
        """Nodes to which there is no room."""
        self.eased = asyncio.Event()
        self.passes: Watch = lambda _source, _target, _frame: True
        """Called for each frame; False loses it."""

    def members_now(self) -> list[NodeId]:
        return sorted(self.members)

    def down(self, node: NodeId) -> None:
        """Remove a node, and tell the others as the membership layer would."""
        self.members.discard(node)
        for other in self.members:
            self.hosts[other].node_down(node)


class MemoryWire:
    """One host's end: frames of one turn of the loop arrive as one batch."""

    def __init__(self, network: Network) -> None:
        self.node_id = new_node_id()
        self._network = network
        self._waiting: dict[NodeId, list[bytes]] = {}
        network.members.add(self.node_id)

    def send(self, node: NodeId, frame: bytes) -> None:
        if node not in self._network.members:
            message = f"node {node[:8]} is not a member"
            raise NotDelivered(message)
        if not self._network.passes(self.node_id, node, frame):
            return
        frames = self._waiting.setdefault(node, [])
        if not frames:
            asyncio.get_running_loop().call_soon(self._deliver, node)
        frames.append(frame)

    def room(self, node: NodeId) -> bool:
        return node not in self._network.crowded

    async def wait_for_room(self, node: NodeId) -> None:
        while node in self._network.crowded:
            await self._network.eased.wait()

    def _deliver(self, node: NodeId) -> None:
        frames = self._waiting.pop(node)
        host = self._network.hosts.get(node)
        if host is not None and {node, self.node_id} <= self._network.members:
            host.receive(self.node_id, msgspec.msgpack.encode([msgspec.Raw(frame) for frame in frames]))
