"""A session that is closed and opened again with other settings, while whoever uses it keeps what it has declared.

Engines read passwords and certificates when a session is opened. What is put while there is none is lost, as it would
be while no link is up. What was there before, and is seen again before the time is over that a link may be silent, was
never away for who watches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from foundation.core.identity import NodeId
from foundation.errors import FabricError, ListenError, UnreachableError
from foundation.fabric.transport import SessionSettings, Transport, TransportSession, Undo

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Declared:
    """Something that is to be on every session."""

    declare: Callable[[TransportSession], Undo]
    undo: Undo


class RenewableSession:
    """See :class:`foundation.fabric.transport.TransportSession`."""

    def __init__(self, transport: Transport, settings: SessionSettings, lost: Callable[[str], None]) -> None:
        self._transport = transport
        self._settings = settings
        self._lost = lost
        self._session: TransportSession | None = None
        self._declared: dict[_Declared, None] = {}
        self._watches: dict[_Watch, None] = {}
        self._grace: asyncio.TimerHandle | None = None
        self.endpoints: tuple[str, ...] = ()

    async def open(self) -> None:
        """Open the first session; raises what :meth:`Transport.open` does."""
        self._session = await self._transport.open(self._settings, self._lost)
        self.endpoints = self._session.endpoints

    async def renew(self, settings: SessionSettings) -> None:
        """Close the session and open another one in its place, at the same port if that is to be had.

        When none can be opened, this one is lost, and the :class:`FabricError` is raised.
        """
        if self._session is None:
            return
        session, self._session = self._session, None
        port = int(self.endpoints[0].rpartition(":")[2])
        await session.close()
        try:
            self._session = await self._open_again(settings, port)
        except FabricError as error:
            self._lost(f"the session could not be opened again: {error}")
            raise
        self._settings, self.endpoints = settings, self._session.endpoints
        for watch in self._watches:
            watch.begin_again()
        for declared in list(self._declared):
            declared.undo = declared.declare(self._session)
        if self._grace is not None:
            self._grace.cancel()
        self._grace = asyncio.get_running_loop().call_later(settings.lease_s, self._end_grace)

    async def _open_again(self, settings: SessionSettings, port: int) -> TransportSession:
        try:
            return await self._transport.open(replace(settings, port=port), self._lost)
        except ListenError as error:
            if settings.port:
                raise
            logger.warning("%s; taking another one", error)
            return await self._transport.open(settings, self._lost)

    def put(self, key: str, payload: bytes) -> None:
        """See the port."""
        if self._session is not None:
            self._session.put(key, payload)

    def subscribe(self, expression: str, receive: Callable[[str, bytes], None]) -> Undo:
        """See the port."""
        return self._keep(lambda session: session.subscribe(expression, receive))

    def declare(self, token: str) -> Undo:
        """See the port."""
        return self._keep(lambda session: session.declare(token))

    def watch(self, expression: str, changed: Callable[[str, bool], None]) -> Undo:
        """See the port."""
        watch = _Watch(changed)
        self._watches[watch] = None
        undo = self._keep(lambda session: session.watch(expression, watch.changed))

        def end() -> None:
            self._watches.pop(watch, None)
            undo()

        return end

    async def introduce(self, node: NodeId, endpoints: Sequence[str]) -> None:
        """See the port."""
        if self._session is None:
            message = "the session of this node is being opened again"
            raise UnreachableError(message)
        await self._session.introduce(node, endpoints)

    async def close(self) -> None:
        """See the port."""
        if self._grace is not None:
            self._grace.cancel()
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _keep(self, declare: Callable[[TransportSession], Undo]) -> Undo:
        declared = _Declared(declare, declare(self._session) if self._session is not None else _nothing)
        self._declared[declared] = None

        def undo() -> None:
            if self._declared.pop(declared, declared) is None:
                declared.undo()

        return undo

    def _end_grace(self) -> None:
        self._grace = None
        for watch in list(self._watches):
            watch.end_grace()


class _Watch:
    """Tokens that somebody watches, across sessions."""

    def __init__(self, changed: Callable[[str, bool], None]) -> None:
        self._changed = changed
        self._there: set[str] = set()
        self._missing: set[str] = set()
        """Seen in an earlier session, and not yet in this one."""

    def changed(self, token: str, is_there: bool) -> None:
        """Take that a token has come or gone."""
        if is_there and token in self._missing:
            self._missing.discard(token)
            return
        self._missing.discard(token)
        if is_there:
            self._there.add(token)
        else:
            self._there.discard(token)
        self._changed(token, is_there)

    def begin_again(self) -> None:
        """Take that another session is open, which tells again of each token that is there."""
        self._missing = set(self._there)

    def end_grace(self) -> None:
        """Give up what this session has not seen."""
        missing, self._missing = self._missing, set()
        for token in sorted(missing):
            self._there.discard(token)
            self._changed(token, False)  # noqa: FBT003 - the port's


def _nothing() -> None:
    """Take back what is on no session."""
