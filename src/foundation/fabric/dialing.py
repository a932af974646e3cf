"""Connect to the door of another node, prove this node there, and learn who it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from foundation.core.secret import Secret
from foundation.errors import CodecError, FabricError, HandshakeError, UnreachableError
from foundation.fabric.handshake import Identity
from foundation.fabric.link import DialedLink
from foundation.fabric.near import connect_beside
from foundation.fabric.tls import Tls


async def dial(
    address: tuple[str, int],
    me: Identity,
    cookie: Secret,
    timeout_s: float,
    *,
    wants_link: bool,
    tls: Tls | None = None,
) -> tuple[DialedLink, Identity]:
    """Connect to a door and prove this node there; returns the connection and who lives there.

    Raises :class:`UnreachableError` when nobody answers in time, :class:`RefusedError` when the door refuses,
    :class:`HandshakeError` when what answers is not a node of this cluster, or the two do not agree on TLS.
    """
    if wants_link:
        with suppress(FabricError):
            return await _dial(address, me, cookie, timeout_s, tls, near=True, wants_link=True)
    return await _dial(address, me, cookie, timeout_s, tls, near=False, wants_link=wants_link)


async def _dial(
    address: tuple[str, int],
    me: Identity,
    cookie: Secret,
    timeout_s: float,
    tls: Tls | None,
    *,
    near: bool,
    wants_link: bool,
) -> tuple[DialedLink, Identity]:
    host, port = address
    made: DialedLink | None = None
    try:
        async with asyncio.timeout(timeout_s):
            link = made = DialedLink(me, cookie, tls.to(host) if tls else None, wants_link=wants_link)
            if near:
                await connect_beside(lambda: link, host, port)
            else:
                await asyncio.get_running_loop().create_connection(lambda: link, host, port)
            return link, await link.welcome
    except BaseException as error:  # noqa: BLE001 - also a cancellation must not leave the connection open
        if made is not None:
            _throw_away(made)
        raise _explained(error, host, port, timeout_s) from None


def _throw_away(link: DialedLink) -> None:
    """Close a connection, which may just have come about, and want no welcome: nobody is left to hear how it went."""
    if not link.is_closing:  # then it may still tell the other side why
        link.abort()
    if link.welcome.done() and not link.welcome.cancelled():
        link.welcome.exception()
    link.welcome.cancel()


def _explained(error: BaseException, host: str, port: int, timeout_s: float) -> BaseException:
    if isinstance(error, TimeoutError) and not isinstance(error, FabricError):
        return UnreachableError(f"nobody answered at {host}:{port} within {timeout_s} s")
    if isinstance(error, (OSError, OverflowError, UnicodeError)):  # the last two: no such port, no such host name
        cause = getattr(error, "strerror", None) or error
        refused = isinstance(error, ConnectionRefusedError)
        return UnreachableError(f"cannot reach {host}:{port}: {cause}", connection_refused=refused)
    if isinstance(error, UnreachableError):
        return UnreachableError(f"{host}:{port} {error}")
    if isinstance(error, CodecError):
        return HandshakeError(f"{host}:{port}: what answers is not a node: {error}")
    if type(error) is HandshakeError:
        return HandshakeError(f"{host}:{port}: {error}")
    return error
