"""A real Redis that writes nothing to disk."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.server import LOOPBACK, Server, folder, free_port, program, running


class RedisServer:
    """One Redis."""

    def __init__(self, data: Path, arguments: Sequence[str], *, tls: bool) -> None:
        self.port = free_port()
        binary = program("redis-server", "redis-server")
        options = {
            "bind": LOOPBACK,
            "tls-port" if tls else "port": str(self.port),
            "dir": str(data),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        if tls:
            options["port"] = "0"
        command = [binary, *(part for name, value in options.items() for part in (f"--{name}", value)), *arguments]
        self.url = f"{'rediss' if tls else 'redis'}://{LOOPBACK}:{self.port}/0"
        self.server = Server(command, "Ready to accept connections")


@contextmanager
def redis_server(*arguments: str, tls: bool = False) -> Generator[RedisServer]:
    """Run one for a block, or skip the test where there is none."""
    with folder() as data:
        made = RedisServer(data, arguments, tls=tls)
        with running(made.server):
            yield made
