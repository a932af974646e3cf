"""What every node does for the others' children; a process like the agent and the clerk."""

from __future__ import annotations

from typing import Protocol

from foundation.core.identity import NodeId, ProcessId
from foundation.distribution.messages import ChildReport, HandOver, Order, Outcome
from foundation.processes import Host, Process, concurrent
from foundation.registry import CLERK_SERIAL

DESK_SERIAL = CLERK_SERIAL - 1


class Office(Protocol):
    """The distribution of this node, as its desk sees it."""

    async def place(self, orders: list[Order]) -> list[Outcome]:
        """Find places for children whose names have their home here, and have them run there."""
        ...

    async def run(self, orders: list[Order]) -> list[Outcome]:
        """Run children here."""
        ...

    async def take_over(self, hand_over: HandOver) -> Outcome:
        """Let a child go on here."""
        ...

    def holds(self, name: str) -> bool:
        """Tell whether a child is here, with or without a process."""
        ...

    async def terminate(self, name: str) -> bool:
        """End a child for good; False when it is not here."""
        ...

    async def migrate(self, name: str, node: NodeId) -> Outcome:
        """Hand a child of this node over to another one."""
        ...

    async def drain(self) -> int:
        """Hand over all children of this node, and take none; return how many are still here."""
        ...

    async def undrain(self) -> None:
        """Take children again; raises NotRunningError when this node leaves."""
        ...

    def takes_for_drained(self, node: NodeId) -> bool:
        """Tell whether another node is drained, as far as this one has heard."""
        ...

    def reports(self, most: int) -> list[ChildReport]:
        """Describe the children of this node, and those that it is to find a place for."""
        ...

    async def first_start(self, name: str) -> Outcome:
        """Wait until this node has started its process of those that run on every node, or could not."""
        ...


class Desk(Process, wire_name="foundation:desk"):
    """The part of the distribution that other nodes can call. Its methods run beside each other."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @concurrent
    async def place(self, orders: list[Order]) -> list[Outcome]:
        """Find places for children whose names have their home here; one outcome for each, in the same order."""
        return await self._office.place(orders)

    @concurrent
    async def run(self, orders: list[Order]) -> list[Outcome]:
        """Run children here; one outcome for each, in the same order."""
        return await self._office.run(orders)

    @concurrent
    async def take_over(self, hand_over: HandOver) -> Outcome:
        """Let a child go on here that its node hands over."""
        return await self._office.take_over(hand_over)

    @concurrent
    async def holds(self, name: str) -> bool:
        """Tell whether a child is here."""
        return self._office.holds(name)

    @concurrent
    async def terminate(self, name: str) -> bool:
        """End a child for good; False when it is not here."""
        return await self._office.terminate(name)

    @concurrent
    async def migrate(self, name: str, node: NodeId) -> Outcome:
        """Hand a child of this node over to another one."""
        return await self._office.migrate(name, node)

    @concurrent
    async def drain(self) -> int:
        """Hand over all children of this node; return how many are still here."""
        return await self._office.drain()

    @concurrent
    async def undrain(self) -> None:
        """Take children again; raises NotRunningError when this node leaves."""
        await self._office.undrain()

    @concurrent
    async def takes_for_drained(self, node: NodeId) -> bool:
        """Tell whether another node is drained, as far as this one has heard."""
        return self._office.takes_for_drained(node)

    @concurrent
    async def reports(self, most: int) -> list[ChildReport]:
        """Describe the children of this node, at most so many."""
        return self._office.reports(most)

    @concurrent
    async def first_start(self, name: str) -> Outcome:
        """Wait until this node has started its process of those that run on every node, or could not."""
        return await self._office.first_start(name)


def desk_of(host: Host, node: NodeId) -> Desk:
    """Return a reference to the desk of a node."""
    return host.reference(Desk, ProcessId(node, DESK_SERIAL))
