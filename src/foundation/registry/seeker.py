"""Ask the home of a name for it: it knows of a grant before the row has come to everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from foundation.core.identity import NodeId, ProcessId
from foundation.registry.claims import Claims
from foundation.registry.messages import Found, NameMessage, Seek
from foundation.registry.options import RegistryOptions


class Seeker:
    """Asks other homes, and answers for this one."""

    def __init__(self, claims: Claims, send: Callable[[NodeId, NameMessage], None], options: RegistryOptions) -> None:
        self._claims = claims
        self._send = send
        self._options = options
        self._last_number = 0
        self._sought: dict[int, asyncio.Future[ProcessId | None]] = {}

    async def seek(self, key: str) -> ProcessId | None:
        """Return whose a name is; None when it is nobody's, or its home does not say so in time."""
        home = self._claims.home(key)
        if home == self._claims.me and (granted := self._claims.whose(key)) is not None:
            return ProcessId(*granted)
        if home is None or home == self._claims.me:
            return None
        self._last_number = number = self._last_number + 1
        answer: asyncio.Future[ProcessId | None] = asyncio.get_running_loop().create_future()
        self._sought[number] = answer
        self._send(home, Seek(number, key))
        try:
            async with asyncio.timeout(self._options.look_up_timeout_s):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._sought[number]

    def receive(self, source: NodeId, message: Seek | Found) -> None:
        """Act on a message of another node."""
        if type(message) is Seek:
            node, serial = self._claims.whose(message.key) or (NodeId(""), 0)
            self._send(source, Found(message.number, node, serial))
        elif type(message) is Found:
            answer = self._sought.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(ProcessId(message.node, message.serial) if message.node else None)
