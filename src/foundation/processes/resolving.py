"""Find the owner of a name: on the own node, or by asking everyone, which is right for small clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.errors import FoundationError, NoSuchNameError
from foundation.processes.agent import Agent
from foundation.processes.calling.verbs import options
from foundation.processes.options import ProcessOptions


class Asking(Protocol):
    """The host as this resolver sees it."""

    options: ProcessOptions

    @property
    def node_id(self) -> NodeId:
        """The own node."""
        ...

    def whereis(self, name: str) -> ProcessId | None:
        """Look a name up on the own node."""
        ...

    def agent(self, node: NodeId) -> Agent:
        """Return a reference to the agent of a node."""
        ...


class AskEveryone:
    """Ask the own node, then all other members at once; the first who knows the name decides."""

    def __init__(self, host: Asking, members: Callable[[], Iterable[NodeId]]) -> None:
        self._host = host
        self._members = members

    async def resolve(self, name: str) -> ProcessId:
        """See :meth:`foundation.processes.ports.Resolver.resolve`."""
        own = self._host.whereis(name)
        if own is not None:
            return own
        silent: list[NodeId] = []
        async with TaskScope(f"look up {name}") as scope:
            others = [node for node in self._members() if node != self._host.node_id]
            asked = [scope.start(self._ask(node, name, silent), node[:8]) for node in others]
            for answer in asyncio.as_completed(asked):
                found = await answer
                if found is not None:
                    return found
        without = f" ({len(silent)} of {len(others)} other nodes did not answer)" if silent else ""
        message = f"no process is named {name!r}{without}"
        raise NoSuchNameError(message)

    async def _ask(self, node: NodeId, name: str, silent: list[NodeId]) -> ProcessId | None:
        agent = options(self._host.agent(node), timeout_s=self._host.options.lookup_timeout_s)
        try:
            return await agent.whereis(name)
        except FoundationError:
            silent.append(node)
            return None


class OnlyHere:
    """Knows the names of one host."""

    def __init__(self, whereis: Callable[[str], ProcessId | None]) -> None:
        self._whereis = whereis

    async def resolve(self, name: str) -> ProcessId:
        """See :meth:`foundation.processes.ports.Resolver.resolve`."""
        found = self._whereis(name)
        if found is None:
            message = f"no process is named {name!r}"
            raise NoSuchNameError(message)
        return found
