"""A real etcd, alone in its cluster, with elections so short that a lease may last one second."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.server import LOOPBACK, Server, folder, free_port, program, running


class EtcdServer:
    """One etcd."""

    def __init__(self, data: Path, arguments: Sequence[str], scheme: str) -> None:
        binary = program("etcd", "etcd-server")
        self.port, peer = free_port(), free_port()
        self.url = f"{scheme}://{LOOPBACK}:{self.port}"
        options = {
            "name": "test",
            "data-dir": str(data / "etcd"),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": f"http://{LOOPBACK}:{peer}",
            "initial-advertise-peer-urls": f"http://{LOOPBACK}:{peer}",
            "initial-cluster": f"test=http://{LOOPBACK}:{peer}",
            "heartbeat-interval": "10",
            "election-timeout": "100",
        }
        command = [binary, "--logger=zap", *(f"--{name}={value}" for name, value in options.items()), *arguments]
        self.server = Server(command, "serving client traffic")


@contextmanager
def etcd_server(*arguments: str, scheme: str = "http") -> Generator[EtcdServer]:
    """Run one for a block, or skip the test where there is none."""
    with folder() as data:
        made = EtcdServer(data, arguments, scheme)
        with running(made.server):
            yield made
