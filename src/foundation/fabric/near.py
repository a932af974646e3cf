"""The shorter way to a door on the same machine: a Unix socket beside its TCP port, which only direct links take.

It saves a third of an echo's time on loopback (15 for 21 µs). Its name is in Linux's abstract namespace, so it leaves
no file behind and belongs to one network namespace, as the port does. Whoever else may have taken the name is asked to
prove itself like anybody; when it cannot, the port is dialed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TypeVar

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

_UNSUPPORTED = (OSError, NotImplementedError)
_ELSEWHERE = "no Unix sockets here"


def _name(host: str, port: int) -> str:
    return f"\0foundation/{host}:{port}"


async def open_beside(factory: Callable[[], asyncio.BaseProtocol], host: str, port: int) -> asyncio.Server | None:
    """Listen beside a port; None where that is not possible, which costs speed and nothing else."""
    if sys.platform != "linux":
        return None
    try:
        return await asyncio.get_running_loop().create_unix_server(factory, _name(host, port))
    except _UNSUPPORTED:
        return None


async def connect_beside(factory: Callable[[], ProtocolT], host: str, port: int) -> ProtocolT:
    """Connect to the socket beside a port; an OSError when there is none, mostly because it is on another machine."""
    if sys.platform != "linux":
        raise ConnectionRefusedError(_ELSEWHERE)
    try:
        _, protocol = await asyncio.get_running_loop().create_unix_connection(factory, _name(host, port))
    except NotImplementedError:
        raise ConnectionRefusedError(_ELSEWHERE) from None
    return protocol
