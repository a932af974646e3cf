"""Addresses: whether a node can listen there, and who does already."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from foundation.cli.doctor.finding import Finding, bad, ok, problem
from foundation.cli.doctor.subject import Subject

_LISTENS = "0A"
_TIMEOUT_S = 1.0


def check_address(subject: Subject) -> Iterator[Finding]:
    """Listen for a moment at each port, as a node would."""
    settings = subject.settings
    host = settings.fabric.host
    ports = {"the door (port)": settings.fabric.port, "the session (session_port)": settings.fabric.session_port}
    yield from (_listen(what, host, port) for what, port in ports.items())
    if settings.fabric.port and settings.fabric.port == settings.fabric.session_port:
        yield problem(f"port and session_port are both {settings.fabric.port}", "give each its own")
    if settings.probe_port is not None:
        yield _listen("the probes (probe_port)", settings.probe_host or host, settings.probe_port)


def check_loopback(_subject: Subject) -> Iterator[Finding]:
    """Let this program talk to itself over the loopback interface."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), _TIMEOUT_S) as client,
        ):
            server.settimeout(_TIMEOUT_S)
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(_TIMEOUT_S)
                client.sendall(b"!")
                accepted.recv(1)
    except OSError as error:
        yield problem(f"127.0.0.1 does not work: {_reason(error)}", "bring the interface up: ip link set lo up")
    else:
        yield ok("127.0.0.1 works")


def _listen(what: str, host: str, port: int) -> Finding:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as listening:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(1)
            taken = listening.getsockname()[1]
    except OSError as error:
        return _explained(what, host, port, error)
    free = f"port {port} is free" if port else f"any free port will do, {taken} just now"
    return ok(f"{what} can listen on {host}: {free}")


def _explained(what: str, host: str, port: int, error: OSError) -> Finding:
    advice = {
        errno.EADDRINUSE: "stop that program, unless it is this very node, or choose another port",
        errno.EADDRNOTAVAIL: f"no interface of this machine has the address {host}: correct the host",
        errno.EACCES: "ports below 1024 need privileges: choose a higher one",
    }.get(error.errno or 0, "correct the host and the port")
    holder = f", by {_holder(port)}" if error.errno == errno.EADDRINUSE else ""
    return bad(f"{what} cannot listen on {host}:{port}: {_reason(error)}{holder}", advice, matters=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _holder(port: int) -> str:
    """Return which program listens at a port, as far as this user may know (Linux only)."""
    inodes = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "another program, perhaps of another user"


def _listening(table: str, port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen at a port."""
    with suppress(OSError):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                yield rest[5]
