"""A wire in memory between hosts of one test, with members that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from foundation.core.channels import Channel
from foundation.core.identity import NodeId, ProcessId
from foundation.core.sources import new_node_id
from foundation.errors import NameTakenError, NoSuchNameError, NotDelivered, Overloaded
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
        self.names: dict[str, ProcessId] = {}
        self.passes: Watch = lambda _source, _target, _frame: True
        """Called for each frame; False loses it."""

    def members_now(self) -> list[NodeId]:
        return sorted(self.members)

    def down(self, node: NodeId) -> None:
        """Remove a node, and tell the others as the membership layer would."""
        self.members.discard(node)
        for name, owner in list(self.names.items()):
            if owner.node == node:
                del self.names[name]
        for other in self.members:
            self.hosts[other].node_down(node)


class SharedNames:
    """The names of all hosts of one network, as one of them sees them."""

    def __init__(self, node: NodeId, names: dict[str, ProcessId]) -> None:
        self._node = node
        self._names = names

    def known(self, name: str) -> ProcessId | None:
        return self._names.get(name)

    async def find(self, name: str) -> ProcessId:
        if name not in self._names:
            message = f"no process is named {name!r}"
            raise NoSuchNameError(message)
        return self._names[name]

    async def register(self, name: str, serial: int, wire_name: str) -> None:
        del wire_name
        if name in self._names:
            message = f"the name {name!r} belongs to {self._names[name]}"
            raise NameTakenError(message)
        self._names[name] = ProcessId(self._node, serial)

    def is_followed(self, name: str) -> bool:
        del name
        return False

    async def follow(self, name: str, last: ProcessId) -> ProcessId:
        del last
        return await self.find(name)

    def release(self, serial: int) -> None:
        for name, owner in list(self._names.items()):
            if owner == ProcessId(self._node, serial):
                del self._names[name]


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
