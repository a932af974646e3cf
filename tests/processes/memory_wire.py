"""A wire in memory between hosts of one test, with members that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.sources import new_node_id
from foundation.errors import NotDelivered, Overloaded
from foundation.processes.host import Host

Watch = Callable[[NodeId, NodeId, bytes], bool]


class Network:
    """Who is a member, and what happens to frames on the way."""

    def __init__(self) -> None:
        self.hosts: dict[NodeId, Host] = {}
        self.members: set[NodeId] = set()
        self.crowded: set[NodeId] = set()
        """Nodes to which there is no room, save for what is urgent."""
        self.overloaded: set[NodeId] = set()
        """Nodes for which too much waits already, save for what is urgent."""
        self.lanes: list[Channel] = []
        """The channels of the frames so far."""
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
        self._waiting: dict[tuple[NodeId, Channel], list[bytes]] = {}
        network.members.add(self.node_id)

    def send(self, node: NodeId, frame: bytes, channel: Channel) -> None:
        if node not in self._network.members:
            message = f"node {node[:8]} is not a member"
            raise NotDelivered(message)
        if node in self._network.overloaded and channel is not Channel.CONTROL:
            message = "too much waits"
            raise Overloaded(message)
        self._network.lanes.append(channel)
        if not self._network.passes(self.node_id, node, frame):
            return
        frames = self._waiting.setdefault((node, channel), [])
        if not frames:
            asyncio.get_running_loop().call_soon(self._deliver, node, channel)
        frames.append(frame)

    def room(self, node: NodeId, channel: Channel) -> bool:
        return channel is Channel.CONTROL or node not in self._network.crowded

    async def wait_for_room(self, node: NodeId, channel: Channel) -> None:
        while not self.room(node, channel):
            await self._network.eased.wait()

    def _deliver(self, node: NodeId, channel: Channel) -> None:
        frames = self._waiting.pop((node, channel))
        host = self._network.hosts.get(node)
        if host is not None and {node, self.node_id} <= self._network.members:
            host.receive(self.node_id, msgspec.msgpack.encode([msgspec.Raw(frame) for frame in frames]), channel)
