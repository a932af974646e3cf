"""Nodes made of a fabric alone, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from foundation.core.channels import Channel
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.fabric import Fabric, FabricOptions
from tests.waiting import eventually


class Node:
    """A fabric, and all that it has told."""

    def __init__(self, name: str, cluster: str, cookie: str, options: FabricOptions) -> None:
        self.id = new_node_id()
        self.fabric = Fabric(self.id, name, cluster=cluster, cookie=Secret(cookie), version="1", options=options)
        self.fabric.peers.receive = self._receive
        self.fabric.presence_changed = self._presence_changed
        self.got: list[tuple[NodeId, Any]] = []
        self.facts: dict[NodeId, bytes] = {}
        self.changes: list[tuple[NodeId, bytes | None]] = []

    def send(self, other: Node, value: object) -> None:
        self.fabric.send(other.id, msgspec.msgpack.encode(value))

    def got_from(self, other: Node) -> list[Any]:
        return [value for sender, value in self.got if sender == other.id]

    def _receive(self, node: NodeId, frames: memoryview | bytes, _channel: Channel) -> None:
        self.got += [(node, value) for value in msgspec.msgpack.decode(frames)]

    def _presence_changed(self, node: NodeId, facts: bytes | None) -> None:
        self.changes.append((node, facts))
        if facts is None:
            self.facts.pop(node, None)
        else:
            self.facts[node] = facts


class Nodes:
    """Starts nodes over one engine and stops them all."""

    def __init__(self, transport: str, stack: AsyncExitStack, **defaults: object) -> None:
        self.transport = transport
        self._defaults = defaults
        self._stack = stack
        self._count = 0

    def make(self, cluster: str = "shop", cookie: str = "secret", **options: object) -> Node:
        self._count += 1
        chosen = msgspec.convert(
            {"transport": self.transport, "introduction_timeout_s": 10.0, **self._defaults, **options}, FabricOptions
        )
        return Node(f"node-{self._count}", cluster, cookie, chosen)

    async def start(self, cluster: str = "shop", cookie: str = "secret", **options: object) -> Node:
        node = self.make(cluster, cookie, **options)
        await self._stack.enter_async_context(node.fabric)
        node.fabric.announce(node.fabric.name.encode())
        return node

    async def meet(self, *nodes: Node) -> None:
        """Have each meet the first, and wait until everybody sees everybody."""
        for node in nodes[1:]:
            await node.fabric.meet(nodes[0].fabric.door)
        everybody = {node.id for node in nodes}
        await eventually(lambda: all(node.fabric.present() >= everybody - {node.id} for node in nodes))

    async def pair(self, **options: object) -> tuple[Node, Node]:
        one, two = await self.start("shop", "secret", **options), await self.start("shop", "secret", **options)
        await self.meet(one, two)
        return one, two


@asynccontextmanager
async def some_nodes(transport: str, **defaults: object) -> AsyncGenerator[Nodes]:
    async with AsyncExitStack() as stack:
        yield Nodes(transport, stack, **defaults)
