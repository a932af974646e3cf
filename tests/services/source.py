"""A real server behind a bad line, as the contract about failing services wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.discovery.faults import Fault
from tests.services.proxy import Proxy, Respond, garbage, half
from tests.services.server import Server


class ProxiedSource:
    """Hangs and ends itself; what else is wrong with the answers is the doing of a proxy before it."""

    def __init__(self, server: Server, proxy: Proxy, nobody: Respond) -> None:
        """Let ``nobody`` answer requests for the list of nodes with an empty one."""
        self._server = server
        self._proxy = proxy
        self._nobody = nobody
        self._fault: Fault | None = None

    @property
    def port(self) -> int:
        """Where to ask."""
        return self._proxy.port

    async def list(self, addresses: Sequence[str]) -> None:
        """Do nothing: nodes announce themselves."""

    async def misbehave(self, fault: Fault | None) -> None:
        """Fail; ``half`` is an answer cut off in its middle, as leaving out one of two nodes is what ``empty`` does."""
        before, self._fault = self._fault, fault
        match fault or before:
            case "empty":
                self._proxy.respond(self._nobody if fault else None)
            case "error":
                await asyncio.to_thread(self._server.kill if fault else self._server.start)
            case "hang":
                (self._server.pause if fault else self._server.resume)()
            case "half":
                await self._proxy.spoil(half if fault else None)
            case _:
                await self._proxy.spoil(garbage if fault else None)
