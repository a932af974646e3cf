"""Find peers in a file of addresses that may change while the node runs.

Consistency: each lookup reads the whole file. A last line without an end is taken once the file has been left alone
for a moment, since somebody may just be writing it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from foundation.core.sources import clock
from foundation.discovery.peers import Peer, format_address, parse_address
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError

logger = logging.getLogger(__name__)

MOST_BYTES = 1024 * 1024
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class HostsOptions:
    """Where the file is."""

    path: str = ""
    """The file: a door ``host:port`` per line; what follows a # is a comment."""

    default_port: int | None = None
    """The port of lines that name none; without it such a line is wrong."""

    check_s: float = 1.0
    """Seconds between two looks whether the file has changed; less notices it sooner."""

    settle_s: float = 1.0
    """Seconds that a file must be unchanged until a last line without an end is believed to be whole."""

    poll_interval_s: float | None = 30.0
    """Seconds between two reminders of an unchanged file; None takes the framework's."""


class HostsStrategy(DiscoveryStrategy):
    """Return the addresses in the file; names of hosts are resolved by who dials them."""

    Options: ClassVar[type[HostsOptions]] = HostsOptions

    def __init__(self, options: HostsOptions | None = None) -> None:
        """Read nothing yet; raises ConfigurationError without a path."""
        self._options = options or HostsOptions()
        if not self._options.path:
            message = "the discovery strategy 'hosts' needs its option 'path': a file with host:port on each line"
            raise ConfigurationError(message)
        self.poll_interval_s = self._options.poll_interval_s
        self._path = Path(self._options.path).expanduser()
        self._read_at: tuple[int, ...] | None = None
        self._reported: tuple[str, ...] = ()

    async def lookup(self) -> Iterable[Peer]:
        """Return a peer for each line; raises DiscoveryError if the file cannot be read or no line can be used."""
        self._read_at = None
        try:
            content, found = _read(self._path)
        except OSError as error:
            message = f"the file of hosts {self._path} cannot be read: {error.strerror or error}"
            raise DiscoveryError(message) from error
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"the file of hosts {self._path} is not a text in UTF-8: byte {error.start} is wrong"
            raise DiscoveryError(message) from error
        lines = text.splitlines()
        if lines and not text.endswith("\n") and abs(clock().wall() - found.st_mtime) < self._options.settle_s:
            del lines[-1]
        else:
            self._read_at = _mark(found)
        peers, wrong = self._parse(lines)
        if wrong and not peers:
            message = f"the file of hosts {self._path} has no usable line: {'; '.join(wrong[:MOST_NAMED])}"
            raise DiscoveryError(message)
        self._report(tuple(wrong))
        return peers

    async def wait_changed(self) -> None:
        """Return when the file is another than the one that was read last."""
        while True:
            await asyncio.sleep(self._options.check_s)
            try:
                if _mark(self._path.stat()) != self._read_at:
                    return
            except OSError:
                if self._read_at is not None:
                    return

    def _parse(self, lines: Iterable[str]) -> tuple[list[Peer], list[str]]:
        peers: dict[Peer, None] = {}
        wrong: list[str] = []
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            try:
                if text:
                    host, port = parse_address(text, self._options.default_port)
                    peers[Peer((format_address(host, port),))] = None
            except ConfigurationError as error:
                wrong.append(f"line {number}: {error}")
        return list(peers), wrong

    def _report(self, wrong: tuple[str, ...]) -> None:
        """Name lines that are left out, once, since nobody else would ever say so."""
        if wrong and wrong != self._reported:
            more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
            logger.warning("the file of hosts %s: %s%s", self._path, "; ".join(wrong[:MOST_NAMED]), more)
        self._reported = wrong


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe must not hold up the loop
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "it is not a file")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(0, f"it has more than {MOST_BYTES} bytes")
    return content, found


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


Strategy = HostsStrategy
