"""What a simulated event loop does not have, and how it says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from foundation.testing.errors import NotSimulatedError

LoopType = TypeVar("LoopType", bound=type[asyncio.AbstractEventLoop])

_ABSENT = {
    "add_reader": "file descriptors",
    "add_signal_handler": "signals",
    "add_writer": "file descriptors",
    "connect_accepted_socket": "real sockets",
    "connect_read_pipe": "pipes",
    "connect_write_pipe": "pipes",
    "create_datagram_endpoint": "UDP",
    "create_unix_connection": "Unix sockets",
    "create_unix_server": "Unix sockets",
    "getnameinfo": "reverse lookups",
    "remove_reader": "file descriptors",
    "remove_signal_handler": "signals",
    "remove_writer": "file descriptors",
    "run_forever": "a loop that runs by itself (the simulation gives the turns)",
    "run_until_complete": "a loop that runs by itself (the simulation gives the turns)",
    "sendfile": "files",
    "sock_accept": "real sockets",
    "sock_connect": "real sockets",
    "sock_recv": "real sockets",
    "sock_recv_into": "real sockets",
    "sock_recvfrom": "real sockets",
    "sock_recvfrom_into": "real sockets",
    "sock_sendall": "real sockets",
    "sock_sendfile": "real sockets",
    "sock_sendto": "real sockets",
    "start_tls": "TLS inside the loop (ssl.MemoryBIO over a plain connection works)",
    "stop": "a loop that runs by itself (the simulation gives the turns)",
    "subprocess_exec": "subprocesses",
    "subprocess_shell": "subprocesses",
}


def refuse_the_rest(loop_type: LoopType) -> LoopType:
    """Have each method that a simulated loop cannot offer raise :class:`NotSimulatedError`."""
    for name, what in _ABSENT.items():
        setattr(loop_type, name, _refusal(name, what))
    return loop_type


def _refusal(name: str, what: str) -> Callable[..., Any]:
    def refuse(*arguments: object, **options: object) -> NoReturn:
        del arguments, options
        message = f"the simulation has no {what}: loop.{name}() was called"
        raise NotSimulatedError(message)

    return refuse
