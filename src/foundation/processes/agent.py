"""What every node does for the others: start, stop, list and find processes. It is a process like any other."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from msgspec import Raw

from foundation.core.identity import NodeId, ProcessId
from foundation.errors import NoSuchProcessError, RemoteError, UnknownProcessClassError
from foundation.processes import catalog
from foundation.processes.decorators import concurrent
from foundation.processes.messages import Keywords
from foundation.processes.process import Process
from foundation.processes.serving.running import ProcessInfo

AGENT_SERIAL = 0
BUILT_IN = "foundation:"
"""How the wire names of the processes begin that every node has."""

T = TypeVar("T")


def agent_of(node: NodeId) -> ProcessId:
    """Return the identity of a node's agent."""
    return ProcessId(node, AGENT_SERIAL)


async def told(call: Awaitable[T]) -> T:
    """Await a call to a built-in process, and take its word for it that a process does not exist."""
    try:
        return await call
    except RemoteError as error:
        if error.error_type == f"{NoSuchProcessError.__module__}:{NoSuchProcessError.__qualname__}":
            raise NoSuchProcessError(str(error.args[0]).partition(": ")[2]) from None
        raise


class Office(Protocol):
    """The host as its agent sees it."""

    async def start_encoded(
        self, cls: type, arguments: Raw, keywords: Keywords, name: str | None, link: ProcessId | None
    ) -> ProcessId:
        """Start a process from encoded arguments."""
        ...

    def tie(self, process_id: ProcessId, other: ProcessId) -> None:
        """Have a process stopped when another one ends otherwise than in order."""
        ...

    async def stop(self, process_id: ProcessId, reason: str) -> None:
        """Stop a process."""
        ...

    def processes(self) -> list[ProcessInfo]:
        """Describe what runs."""
        ...


class Agent(Process, wire_name="foundation:agent"):
    """The part of a host that other nodes can call. Its methods run beside each other: a slow start blocks nobody."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @concurrent
    async def start(
        self,
        wire_name: str,
        arguments: bytes,
        keywords: dict[str, bytes],
        name: str | None,
        link: ProcessId | None = None,
    ) -> ProcessId:
        """Start a process of a class that is known here; the arguments are as its constructor's caller encoded them.

        Raises UnknownProcessClassError, NameTakenError, or what the constructor or `started` raises.
        """
        cls = catalog.find(wire_name)
        if wire_name.startswith(BUILT_IN):
            message = f"every node has the one {cls.__name__.lower()} that it needs"
            raise UnknownProcessClassError(message)
        by_name = {key: Raw(value) for key, value in keywords.items()}
        return await self._office.start_encoded(cls, Raw(arguments), by_name, name, link)

    @concurrent
    async def stop(self, process_id: ProcessId, reason: str) -> None:
        """Stop a process of this node; raises NoSuchProcessError."""
        await self._office.stop(process_id, reason)

    @concurrent
    async def link(self, process_id: ProcessId, other: ProcessId) -> None:
        """Have a process of this node stopped when another one ends otherwise than in order.

        Raises NoSuchProcessError.
        """
        self._office.tie(process_id, other)

    @concurrent
    async def processes(self) -> list[ProcessInfo]:
        """Describe the processes of this node, the agent not."""
        return self._office.processes()
