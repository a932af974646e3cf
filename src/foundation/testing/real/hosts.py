"""Hosts of a test: network namespaces joined by a bridge, whose cables can be pulled. Linux, and for root.

A cut is a rule of the receiving host by which packets from the sending one end in a black hole. So they vanish, as they
do in a broken network: the sender is told nothing, and may have connections on which it goes on waiting.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from itertools import count

_numbers = count(1)
_BURST_BYTES = 16 << 10
_QUEUE_MS = 50


class Hosts:
    """Some hosts on one network: host ``n``, from 1 on, has the address ``10.77.0.<n>``."""

    def __init__(self, count: int) -> None:
        self._prefix = f"fnd-{os.getpid()}-{next(_numbers)}"
        self._cuts: set[tuple[int, int]] = set()
        self._is_made = False
        self.count = count

    def namespace(self, host: int) -> str:
        """Return the name of the network namespace that is a host; 0 is the network between them."""
        return f"{self._prefix}-{host}"

    def address(self, host: int) -> str:
        """Return the address of a host."""
        return f"10.77.0.{host}"

    def cut(self, one: int, other: int) -> None:
        """Let packets between two hosts vanish, both ways."""
        self.cut_oneway(one, other)
        self.cut_oneway(other, one)

    def cut_oneway(self, sender: int, receiver: int) -> None:
        """Let what one host sends to another one vanish."""
        if (sender, receiver) not in self._cuts:
            self._rule("add", sender, receiver)
            self._cuts.add((sender, receiver))

    def heal(self, one: int, other: int) -> None:
        """End the cuts between two hosts, one-way or not."""
        for cut in self._cuts & {(one, other), (other, one)}:
            self._rule("del", *cut)
            self._cuts.remove(cut)

    def heal_all(self) -> None:
        """End all cuts."""
        for one, other in list(self._cuts):
            self.heal(one, other)

    def rate(self, host: int, bytes_per_s: float | None) -> None:
        """Let a host send and be sent no more than so many bytes in a second; None: as many as it can."""
        for where, device in ((host, "eth0"), (0, f"p{host}")):
            if bytes_per_s is None:
                subprocess.run(
                    ["ip", "netns", "exec", self.namespace(where), "tc", "qdisc", "del", "dev", device, "root"],
                    capture_output=True,  # it has no limit perhaps
                    check=False,
                )
                continue
            limit = ("rate", f"{bytes_per_s:.0f}bps", "burst", f"{_BURST_BYTES}", "latency", f"{_QUEUE_MS}ms")
            self.run(where, "tc", "qdisc", "replace", "dev", device, "root", "tbf", *limit)

    def make(self) -> None:
        """Make the namespaces."""
        self._is_made = True
        bridge = self.namespace(0)
        _run("ip", "netns", "add", bridge)
        self._ip(0, "link", "add", "name", "bridge0", "type", "bridge")
        self._ip(0, "link", "set", "bridge0", "up")
        for host in range(1, self.count + 1):
            space = self.namespace(host)
            _run("ip", "netns", "add", space)
            veth = ("link", "add", "name", "eth0", "netns", space, "type", "veth", "peer", f"p{host}", "netns", bridge)
            _run("ip", *veth)
            self._ip(0, "link", "set", f"p{host}", "master", "bridge0", "up")
            self._ip(host, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                self._ip(host, "link", "set", device, "up")
            # The rule that lets packets in comes after those that a cut adds, no more before all.
            self._ip(host, "rule", "add", "pref", "100", "lookup", "local")
            self._ip(host, "rule", "del", "pref", "0")

    def remove(self) -> None:
        """Remove the namespaces, as far as they were made; safe to call twice."""
        if not self._is_made:
            return
        for host in range(self.count + 1):
            subprocess.run(["ip", "netns", "delete", self.namespace(host)], capture_output=True, check=False)
        self._is_made = False

    def run(self, host: int, *command: str) -> None:
        """Run a command on a host."""
        _run("ip", "netns", "exec", self.namespace(host), *command)

    def _ip(self, host: int, *command: str) -> None:
        _run("ip", "-n", self.namespace(host), *command)

    def _rule(self, verb: str, sender: int, receiver: int) -> None:
        self._ip(receiver, "rule", verb, "pref", "10", "from", self.address(sender), "blackhole")


@contextmanager
def hosts(count: int) -> Generator[Hosts]:
    """Make ``count`` hosts on one network and remove them afterwards."""
    made = Hosts(count)
    try:
        made.make()
        yield made
    finally:
        made.remove()


@cache
def why_no_hosts() -> str | None:
    """Return why this machine cannot have such hosts, or None when it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root to make network namespaces"
    for command, package in (("ip", "iproute2"), ("tc", "iproute2")):
        if shutil.which(command) is None:
            return f"needs the command `{command}` (Debian: {package}) to make a network"
    try:
        with hosts(1) as network:
            network.cut_oneway(2, 1)
            network.rate(1, 1e6)
    except RuntimeError as error:
        return f"needs network namespaces, policy routing and tbf of Linux: {error}"
    return None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(command)}: {done.stderr.strip()}"
        raise RuntimeError(message)
