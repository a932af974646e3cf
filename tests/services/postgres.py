"""A real PostgreSQL with a database of its own; it runs as the user ``postgres`` where the tests run as root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.services.server import LOOPBACK, Server, folder, free_port, program, running

USER = "postgres"
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB", "max_connections=40")


class PostgresServer:
    """One PostgreSQL."""

    def __init__(self, data: Path, owner: str | None) -> None:
        places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        binary, initdb = (program(name, "postgresql", *places) for name in ("postgres", "initdb"))
        self.port = free_port()
        command = [initdb, "--pgdata", str(data), "--username", USER, "--auth", "trust", "--no-sync", "--encoding=UTF8"]
        subprocess.run([*command, "--locale=C"], check=True, capture_output=True, user=owner, cwd="/")
        settings = (*FAST, f"port={self.port}", f"listen_addresses={LOOPBACK}", f"unix_socket_directories={data}")
        arguments = [part for setting in settings for part in ("-c", setting)]
        self.server = Server([binary, "-D", str(data), *arguments], "ready to accept connections", user=owner)

    def dsn(self, user: str = USER, password: str = "", port: int | None = None) -> str:
        """Return how to connect, at ``port`` of a proxy where one is given."""
        return f"host={LOOPBACK} port={port or self.port} user={user} dbname=postgres password='{password}'"


@contextmanager
def postgres_server() -> Generator[PostgresServer]:
    """Run one for a block, or skip the test where there is none."""
    owner = USER if os.geteuid() == 0 else None
    with folder(owner) as data:
        made = PostgresServer(data, owner)
        with running(made.server):
            yield made
