"""The door of a node: where others prove themselves, and where this node knocks at theirs.

A stranger costs a bounded amount: so many at a time, so many bytes, so many seconds. Who has proved itself and wants to
stay connected becomes a direct link.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.errors import ListenError
from foundation.fabric.dialing import dial
from foundation.fabric.handshake import Identity, Refusal
from foundation.fabric.link import AcceptedLink, Link
from foundation.fabric.near import open_beside
from foundation.fabric.options import FabricOptions
from foundation.fabric.tls import Tls

logger = logging.getLogger(__name__)

_MOST_REMEMBERED = 1000
_TURNS_TO_ACCEPT = 5
"""Turns of the loop that asyncio takes to accept a connection and to close it again; it offers nothing to wait for."""


class Door:
    """Answer knocks with a handshake; log each refusal once per stranger and reason, and count them all."""

    def __init__(
        self,
        identity: Callable[[], Identity],
        cookie: Secret,
        options: FabricOptions,
        linked: Callable[[Link, NodeId], None] | None = None,
        tls: Tls | None = None,
    ) -> None:
        """``linked(link, node)`` takes over the connection of a node that proved itself and wants to stay.

        With ``tls`` the door speaks nothing else, from the first byte on.
        """
        self._identity = identity
        self._cookie = cookie
        self._options = options
        self._take_over = linked
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._beside: asyncio.Server | None = None
        self._strangers: dict[AcceptedLink, asyncio.TimerHandle] = {}
        self._connections: dict[AcceptedLink, None] = {}
        self._all_gone = asyncio.Event()
        self._logged: set[tuple[str, str]] = set()
        self.port = 0
        self.refused = 0

    def renew(self, cookie: Secret, tls: Tls | None) -> None:
        """Go by another cookie, and other certificates, with whoever comes from now on."""
        self._cookie, self._tls = cookie, tls

    async def __aenter__(self) -> Self:
        host, port = self._options.host, self._options.port
        try:
            self._server = await asyncio.get_running_loop().create_server(self._answer, host, port)
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            cause = "the port is in use; stop its user or choose another port" if in_use else error.strerror or error
            message = f"cannot listen on {host}:{port}: {cause}"
            raise ListenError(message) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._beside = await open_beside(self._answer, host, self.port) if self._take_over else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        beside, self._beside = self._beside, None
        try:
            await _stop_accepting(server)
            if beside is not None:
                await _stop_accepting(beside)
        finally:  # also when it is cancelled
            server.close()
            if beside is not None:
                beside.close()
            for link in list(self._connections):
                link.abort()
        while self._connections:
            self._all_gone.clear()
            await self._all_gone.wait()
        await server.wait_closed()
        if beside is not None:
            await beside.wait_closed()

    def _answer(self) -> AcceptedLink:
        tls = self._tls.at_door() if self._tls else None
        link = _Stranger(self._identity(), self._cookie, self._refuse, self._linked, self._ended, tls)
        link.arrived = self._arrived
        return link

    def _arrived(self, link: AcceptedLink) -> None:
        self._connections[link] = None
        if self._server is None:
            link.abort()
        elif len(self._strangers) >= self._options.max_strangers:
            self._refuse(link, "somebody", f"{self._options.max_strangers} strangers stand at the door already")
            link.abort()
        else:
            loop = asyncio.get_running_loop()
            limit = loop.call_later(self._options.handshake_timeout_s, self._too_slow, link)
            self._strangers[link] = limit

    def _too_slow(self, link: AcceptedLink) -> None:
        self._refuse(link, "a stranger", f"it did not prove itself in {self._options.handshake_timeout_s} s")
        link.abort()

    def _linked(self, link: AcceptedLink, node: NodeId) -> None:
        self._no_stranger(link)
        if self._take_over is None:
            link.close()
        else:
            self._take_over(link, node)

    def _ended(self, link: AcceptedLink) -> None:
        self._no_stranger(link)
        self._connections.pop(link, None)
        if not self._connections:
            self._all_gone.set()

    def _no_stranger(self, link: AcceptedLink) -> None:
        limit = self._strangers.pop(link, None)
        if limit is not None:
            limit.cancel()

    def _refuse(self, link: AcceptedLink, who: str, reason: str) -> None:
        self.refused += 1
        key = (link.host, f"{who} {reason}")
        if reason == Refusal.ITSELF or key in self._logged or len(self._logged) >= _MOST_REMEMBERED:
            return
        self._logged.add(key)
        logger.warning("refused %s at %s: %s", who, link.host, reason)
        if len(self._logged) == _MOST_REMEMBERED:
            logger.warning("refused so many that from now on they are only counted")


class _Stranger(AcceptedLink):
    """A connection that tells the door when it comes."""

    arrived: Callable[[AcceptedLink], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.arrived(self)


async def _stop_accepting(server: asyncio.Server) -> None:
    """Let connections that are just being accepted come in, to be sent away, before the server is closed.

    Python 3.11 leaves those open for ever that are accepted while their server closes.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        with suppress(NotImplementedError, RuntimeError):  # loops that accept in another way
            loop.remove_reader(listening.fileno())
    for _ in range(_TURNS_TO_ACCEPT):
        await asyncio.sleep(0)


async def knock(
    address: tuple[str, int], me: Identity, cookie: Secret, timeout_s: float, tls: Tls | None = None
) -> Identity:
    """Prove this node at another node's door and learn who lives there; raises what :func:`dial` raises."""
    link, identity = await dial(address, me, cookie, timeout_s, wants_link=False, tls=tls)
    link.close()
    return identity
