"""A real Consul in its development mode, and a double of its HTTP API where there is none."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.server import LOOPBACK, Server, free_port, running

VERSION = "1.21.0"


class ConsulServer:
    """One agent, which is its own server."""

    def __init__(self, command: list[str], ready: str, port: int) -> None:
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self.server = Server(command, ready)


@contextmanager
def consul_double(token: str = "") -> Generator[ConsulServer]:
    """Run the double for a block."""
    port = free_port()
    made = ConsulServer([sys.executable, "-m", "tests.services.consul_double", str(port), token], "ready", port)
    with running(made.server):
        yield made


@contextmanager
def consul_server(token: str = "") -> Generator[ConsulServer]:
    """Run a real one for a block, that only ``token`` may use if one is given; skip the test where there is none."""
    kept = Path(os.environ.get("FOUNDATION_SERVICES") or Path.home() / ".cache" / "foundation-services")
    built = kept / f"consul-{VERSION}"
    program = str(built) if built.exists() else shutil.which("consul")
    if program is None:
        pytest.skip("a real Consul is not there: make test-services, or tools/build-consul")
    port = free_port()
    ports = {"server-port": free_port(), "serf-lan-port": free_port(), "serf-wan-port": free_port(), "http-port": port}
    command = [program, "agent", "-dev", "-node=test", f"-bind={LOOPBACK}", f"-client={LOOPBACK}", "-log-level=info"]
    command += [f"-{name}={number}" for name, number in ports.items()]
    command += ["-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1"]
    command += ["-hcl=disable_update_check=true", "-hcl=enable_debug=false"]
    if token:
        tokens = f'initial_management="{token}" agent="{token}"'
        command.append(f'-hcl=acl {{ enabled=true default_policy="deny" tokens {{ {tokens} }} }}')
    made = ConsulServer(command, "Synced node info", port)
    with running(made.server):
        yield made
