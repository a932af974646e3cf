"""Hosts of a test: network namespaces joined by a bridge, whose cables can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

REASON = "needs root and the `ip` command (Debian: iproute2) to make network namespaces"


def can_make_hosts() -> bool:
    """Tell whether this machine lets us make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = f"foundation-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
    return made


class Hosts:
    """Some hosts on one network: host ``n`` has the address ``10.77.<net>.<n>``."""

    def __init__(self, count: int) -> None:
        self._prefix = f"fnd{os.getpid() % 10000}"
        self._net = os.getpid() % 200
        self.count = count

    def namespace(self, host: int) -> str:
        return f"{self._prefix}-{host}"

    def address(self, host: int) -> str:
        return f"10.77.{self._net}.{host}"

    def cut(self, one: int, other: int) -> None:
        """Let packets between two hosts vanish, both ways."""
        for here, there in ((one, other), (other, one)):
            self.run(here, "ip", "route", "add", "blackhole", f"{self.address(there)}/32")

    def heal(self, one: int, other: int) -> None:
        """Undo :meth:`cut`."""
        for here, there in ((one, other), (other, one)):
            self.run(here, "ip", "route", "del", "blackhole", f"{self.address(there)}/32")

    def make(self) -> None:
        bridge = self.namespace(0)
        _run("ip", "netns", "add", bridge)
        self.run(0, "ip", "link", "add", "name", "bridge0", "type", "bridge")
        self.run(0, "ip", "link", "set", "bridge0", "up")
        for host in range(1, self.count + 1):
            space = self.namespace(host)
            _run("ip", "netns", "add", space)
            _run(
                "ip", "link", "add", "name", "eth0", "netns", space, "type", "veth", "peer", f"p{host}", "netns", bridge
            )
            self.run(0, "ip", "link", "set", f"p{host}", "master", "bridge0", "up")
            self.run(host, "ip", "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self.run(host, "ip", "link", "set", device, "up")

    def remove(self) -> None:
        for host in range(self.count + 1):
            subprocess.run(["ip", "netns", "delete", self.namespace(host)], capture_output=True, check=False)

    def run(self, host: int, *command: str) -> None:
        """Run a command on a host."""
        _run("ip", "netns", "exec", self.namespace(host), *command)


@contextmanager
def hosts(count: int) -> Generator[Hosts]:
    """Make ``count`` hosts on one network and remove them afterwards."""
    made = Hosts(count)
    try:
        made.make()
        yield made
    finally:
        made.remove()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(command)}: {done.stderr.strip()}"
        raise RuntimeError(message)
