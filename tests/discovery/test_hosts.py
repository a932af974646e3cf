"""The file of hosts: the contract about faults on real files, and what happens to one that is changed or wrong."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from foundation.discovery.catalog import make_strategy
from foundation.discovery.peers import Peer
from foundation.discovery.strategies.hosts import MOST_BYTES, HostsOptions, HostsStrategy
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import ConfigurationError, DiscoveryError
from tests.discovery.faults import PERIOD_S, Fault, FaultContract


class HostsFile:
    """A file, as an operator would have and spoil it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.addresses: Sequence[str] = ()
        self.put("")

    def put(self, text: str | bytes) -> None:
        new = self.path.with_suffix(".new")
        new.write_bytes(text if isinstance(text, bytes) else text.encode())
        new.rename(self.path)

    async def list(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.put("".join(f"{address}\n" for address in addresses))

    async def misbehave(self, fault: Fault | None) -> None:
        match fault:
            case None:
                await self.list(self.addresses)
            case "empty":
                self.put("")
            case "error":
                self.path.unlink()
            case "hang":
                self.path.unlink()
                os.mkfifo(self.path)
            case "half":
                self.put(self.addresses[0][:3])
            case "garbage":
                self.put(b"\xff\xfe\x00 no hosts here\n")


class TestHostsFaults(FaultContract):
    """Whatever becomes of the file, nobody is disconnected."""

    @pytest.fixture
    async def source(self, tmp_path: Path) -> HostsFile:
        return HostsFile(tmp_path / "hosts")

    def make(self, source: HostsFile) -> DiscoveryStrategy:
        return HostsStrategy(HostsOptions(str(source.path), check_s=0.02, poll_interval_s=PERIOD_S))


@pytest.fixture
def file(tmp_path: Path) -> HostsFile:
    return HostsFile(tmp_path / "hosts")


async def test_lines_are_addresses(file: HostsFile) -> None:
    """Comments, spaces and empty lines are left out, ports are completed, a doubled line counts once."""
    file.put("# ours\n\n one:1  # the first\r\ntwo\n::1\n[::1]:7\n[2001:db8::1]:2\n")
    strategy = make_strategy("hosts", {"path": str(file.path), "default_port": 7})
    assert list(await strategy.lookup()) == [Peer((a,)) for a in ("one:1", "two:7", "[::1]:7", "[2001:db8::1]:2")]


async def test_wrong_lines_hide_no_good_ones(file: HostsFile, caplog: pytest.LogCaptureFixture) -> None:
    """Wrong lines are named once, with their numbers, as long as the file says the same."""
    file.put("one:1\nhttp://two:2\nthree\nfour:x\nfive:0\n")
    strategy = HostsStrategy(HostsOptions(str(file.path)))
    for _ in range(2):
        assert list(await strategy.lookup()) == [Peer(("one:1",))]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert line.startswith(f"the file of hosts {file.path}: line 2: the address 'http://two:2' cannot be used: ")
    assert line.endswith("; and 1 more")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (Path.unlink, "cannot be read: No such file or directory"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: .*(directory|not a file)"),
        (lambda path: path.write_bytes(b"one:1\n\xff\n"), "is not a text in UTF-8: byte 6 is wrong"),
        (lambda path: path.write_text("<html>\n"), "no usable line: line 1: the address '<html>' cannot be used"),
        (lambda path: path.write_bytes(b"#" * (MOST_BYTES + 1)), f"more than {MOST_BYTES} bytes"),
    ],
)
async def test_unusable_file_is_a_clear_error(file: HostsFile, spoil: Callable[[Path], object], why: str) -> None:
    """The error names the file and the cause, and the file is read again when it is good."""
    spoil(file.path)
    strategy = HostsStrategy(HostsOptions(str(file.path)))
    with pytest.raises(DiscoveryError, match=why):
        await strategy.lookup()
    if file.path.is_dir():
        file.path.rmdir()
    file.put("one:1\n")
    assert list(await strategy.lookup()) == [Peer(("one:1",))]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
async def test_unreadable_file_is_a_clear_error(file: HostsFile) -> None:
    """A file without the right to read it is named."""
    file.path.chmod(0)
    with pytest.raises(DiscoveryError, match=f"{file.path} cannot be read: Permission denied"):
        await HostsStrategy(HostsOptions(str(file.path))).lookup()


async def test_half_written_line_is_not_believed(file: HostsFile) -> None:
    """A last line without an end may go on; once the file is left alone it is taken as it is, without a poll."""
    file.put("one:1\ntwo:70")
    strategy = HostsStrategy(HostsOptions(str(file.path), check_s=0.01, settle_s=60))
    assert list(await strategy.lookup()) == [Peer(("one:1",))]
    async with asyncio.timeout(5):
        await strategy.wait_changed()
    os.utime(file.path, (1e9, 1e9))
    assert list(await strategy.lookup()) == [Peer(("one:1",)), Peer(("two:70",))]


@pytest.mark.parametrize("how", ["written", "replaced", "removed", "made"])
async def test_wakes_when_the_file_changes(file: HostsFile, how: str) -> None:
    """A change is noticed without a poll, also one that keeps the size, and also that a file goes or comes."""
    strategy = HostsStrategy(HostsOptions(str(file.path), check_s=0.01))
    file.put("one:1\n")
    if how == "made":
        file.path.unlink()
        with pytest.raises(DiscoveryError):
            await strategy.lookup()
    else:
        await strategy.lookup()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await strategy.wait_changed()
    if how == "written":
        file.path.write_text("two:2\n")
    elif how == "removed":
        file.path.unlink()
    else:
        file.put("two:2\n")
    async with asyncio.timeout(5):
        await strategy.wait_changed()


def test_path_is_required() -> None:
    """Without a path the strategy cannot be made."""
    with pytest.raises(ConfigurationError, match="'hosts' needs its option 'path'"):
        make_strategy("hosts")
