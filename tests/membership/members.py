"""Nodes made of a fabric and a membership, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec

from foundation.core.backoff import Backoff
from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.fabric import Fabric, FabricOptions
from foundation.fabric.fabric import TRANSPORTS
from foundation.membership import Facts, Membership, MembershipOptions, MemberStatus
from tests.waiting import eventually

QUICK = MembershipOptions(
    tick_s=0.02,
    down_after_s=0.3,
    stall_s=20.0,  # a slow test machine is not a node that stood still
    redial=Backoff(first_s=0.02, most_s=0.1),
)


class MemberNode:
    """One node, and the events it saw."""

    def __init__(
        self, name: str, transport: str, *, cookie: str, fabric: dict[str, Any], membership: dict[str, Any]
    ) -> None:
        self.id = new_node_id()
        self.name = name
        values = {"transport": transport, "lease_s": 0.2, "introduction_timeout_s": 5.0, **fabric}
        options = msgspec.convert(values, FabricOptions)
        self.fabric = Fabric(self.id, name, cluster="shop", cookie=Secret(cookie), version="1", options=options)
        chosen = replace(QUICK, **membership)
        self.membership = Membership(self.fabric, Facts(name, MemberStatus.JOINING), chosen)
        self._stack = AsyncExitStack()
        self._events = self.membership.events.stream()

    async def start(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.fabric)
            await stack.enter_async_context(self.membership)
            self.membership.become(MemberStatus.UP)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        await self._stack.aclose()

    async def leave(self) -> None:
        self.membership.become(MemberStatus.LEAVING)
        await self.stop()

    async def crash(self) -> None:
        """End as a killed process does: without a word, with its ports closed."""
        session: Any = self.fabric._session
        if hasattr(session._session, "crash"):
            session._session.crash()
        await self.stop()

    @property
    def address(self) -> str:
        return str(self.fabric.door)

    def seek(self, *addresses: str) -> None:
        self.membership.seek(addresses, None)

    def sees(self) -> dict[NodeId, MemberStatus]:
        return {member.node_id: member.status for member in self.membership.members()}

    def story(self, about: MemberNode) -> list[str]:
        """Name the events about one node so far, in order."""
        told = [event for event in self._events._waiting if event.member.node_id == about.id]
        return [type(event).__name__.removeprefix("Member").lower() for event in told]


class MemberNodes:
    """Starts nodes and stops them all."""

    def __init__(self, transport: str, stack: AsyncExitStack) -> None:
        self._transport = transport
        self._stack = stack

    async def start(
        self,
        name: str,
        *seeds: MemberNode,
        cookie: str = "secret",
        fabric: dict[str, Any] | None = None,
        membership: dict[str, Any] | None = None,
    ) -> MemberNode:
        assert name not in TRANSPORTS.names()
        node = MemberNode(name, self._transport, cookie=cookie, fabric=fabric or {}, membership=membership or {})
        await node.start()
        self._stack.push_async_callback(node.stop)
        node.seek(*(seed.address for seed in seeds))
        return node

    async def cluster(self, *names: str, membership: dict[str, Any] | None = None) -> list[MemberNode]:
        """Start nodes of which each seeks the first, and wait until all see all."""
        nodes: list[MemberNode] = []
        for name in names:
            nodes.append(await self.start(name, *nodes[:1], membership=membership))
        await everybody_is_up(*nodes)
        return nodes


async def everybody_is_up(*nodes: MemberNode) -> None:
    """Wait until each has all of them up, and nobody else."""
    expected = {node.id: MemberStatus.UP for node in nodes}

    def look() -> bool:
        for node in nodes:
            assert node.sees() == expected, f"{node.name} sees {node.membership.members()}"
        return True

    await eventually(look)


@asynccontextmanager
async def some_members(transport: str) -> AsyncGenerator[MemberNodes]:
    async with AsyncExitStack() as stack:
        yield MemberNodes(transport, stack)
