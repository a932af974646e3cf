"""``foundation doctor`` where something is wrong with the network, the home or the clock: it names that."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from foundation.testing.real.hosts import Hosts, hosts, why_no_hosts
from tests.cli.doctoring import Report, examined
from tests.services.dns import free_port
from tests.services.server import program

needs_hosts = pytest.mark.skipif(why_no_hosts() is not None, reason=str(why_no_hosts()))
needs_nft = pytest.mark.skipif(shutil.which("nft") is None, reason="needs the command `nft` (Debian: nftables)")
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian: faketime)")
COOKIE = {"FOUNDATION_COOKIE": "a long cookie of a test"}
OTHERS = COOKIE | {"FOUNDATION_HOST": "0.0.0.0"}


@pytest.fixture
def network() -> Generator[Hosts]:
    with hosts(1) as made:
        yield made


def on_host(network: Hosts, folder: Path, **environ: str) -> Report:
    return examined(folder, "ip", "netns", "exec", network.namespace(1), environ=OTHERS | environ)


@needs_hosts
def test_no_default_route_is_named(network: Hosts, tmp_path: Path) -> None:
    """And what does not work then; once there is one, it is well."""
    report = on_host(network, tmp_path)
    (seen,) = report.of("route", "warning")
    assert "there is no default route" in seen
    assert "services of clouds are out of reach" in report.advice(seen)
    assert report.of("loopback", "ok")
    network.run(1, "ip", "route", "add", "default", "via", "10.77.0.9")
    assert on_host(network, tmp_path).of("route") == ["there is a default route: IPv4 from 10.77.0.1"]


@needs_hosts
def test_nobody_who_answers_for_dns_is_named(network: Hosts, tmp_path: Path) -> None:
    """It is a problem exactly where names are asked for."""
    assert any("no DNS server answers" in seen for seen in on_host(network, tmp_path).of("dns", "warning"))
    report = on_host(network, tmp_path, FOUNDATION_PEERS="node.example:7400")
    assert any("no DNS server answers" in seen for seen in report.of("dns", "problem"))


@needs_hosts
def test_multicast_without_a_route_is_named(network: Hosts, tmp_path: Path) -> None:
    """Who names no interface cannot send then; who does, as mDNS, still can, and Linux carries it."""
    network.run(1, "ip", "route", "add", "default", "via", "10.77.0.9")
    assert not on_host(network, tmp_path).of("multicast", "warning")
    network.run(1, "ip", "route", "add", "unreachable", "224.0.0.0/4")
    report = on_host(network, tmp_path)
    (seen,) = report.of("multicast", "warning")
    assert seen.startswith("no packet to 224.0.0.251 can be sent without naming an interface: ")
    assert "unreachable" in seen or "No route" in seen
    assert "ip route show table all 224.0.0.0/4" in report.advice(seen)
    assert [line.partition(" ")[0] for line in report.of("multicast", "ok")] == ["lo", "eth0"]


@needs_hosts
@needs_nft
def test_multicast_that_cannot_leave_is_named(network: Hosts, tmp_path: Path) -> None:
    """Each interface that mDNS would use, and why; a problem where nodes are found by nothing else."""
    rules = "add table ip t; add chain ip t out { type filter hook output priority 0; }; "
    network.run(1, "nft", rules + "add rule ip t out ip daddr 224.0.0.0/4 drop")
    seen = on_host(network, tmp_path).of("multicast", "warning")
    assert [line.partition(":")[0] for line in seen][:2] == [
        "multicast does not work on lo (127.0.0.1)",
        "multicast does not work on eth0 (10.77.0.1)",
    ]
    assert all("cannot send to 224.0.0.251: Operation not permitted; used by mdns" in line for line in seen[:2])
    report = on_host(network, tmp_path, FOUNDATION_CLUSTER="mdns")
    assert len(report.of("multicast", "problem")) == 2
    assert report.exit_code == 1
    assert "224.0.0.0/4" in report.advice("on eth0")


@needs_hosts
@needs_nft
def test_multicast_that_a_firewall_swallows_is_named(network: Hosts, tmp_path: Path) -> None:
    """Packets that are sent and never come; the interface that is not blocked is well."""
    rules = "add table ip t; add chain ip t in { type filter hook input priority 0; }; "
    rules += "add rule ip t in iifname eth0 ip daddr 224.0.0.251 drop"
    network.run(1, "nft", rules)
    report = on_host(network, tmp_path)
    seen = report.of("multicast", "warning")[0]
    assert "multicast does not work on eth0 (10.77.0.1): a packet to 224.0.0.251 was sent and never came" in seen
    assert report.of("multicast", "ok")[0].startswith("lo (127.0.0.1): a packet to 224.0.0.251 came back")


@needs_hosts
def test_a_machine_without_any_network_is_told_so(tmp_path: Path) -> None:
    """Not even loopback is up; the report comes all the same, and in time."""
    began = time.monotonic()
    report = examined(tmp_path, "unshare", "--net", environ=COOKIE)
    assert time.monotonic() - began < 12.0
    assert any("127.0.0.1 does not work" in seen for seen in report.of("loopback", "problem"))
    assert "ip link set lo up" in report.advice("127.0.0.1 does not work")
    assert report.of("route", "warning")
    assert report.exit_code == 1


@needs_hosts
def test_a_read_only_home_is_named(tmp_path: Path) -> None:
    """It is a problem for who has no cookie, and else a warning."""
    mount = 'mount -t tmpfs -o ro none "$HOME" && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", mount, "-")
    report = examined(tmp_path, *command)
    why = f"{tmp_path} cannot be written: Read-only file system"
    assert f"home {tmp_path}: {why}" in report.of("permissions", "problem")
    assert report.of("cookie", "problem") == [f"none is given, and this user's own cannot be made: {why}"]
    assert "FOUNDATION_COOKIE" in report.advice("cannot be made")
    assert report.exit_code == 1
    report = examined(tmp_path, *command, environ=COOKIE)
    assert f"home {tmp_path}: {why}" in report.of("permissions", "warning")


def faked(by: timedelta) -> dict[str, str]:
    """Turn the clock of a program, and nothing else: neither what files say nor the monotonic one."""
    at = datetime.now().astimezone() + by
    return COOKIE | {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME": f"@{at:%Y-%m-%d %H:%M:%S}",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@needs_faketime
@pytest.mark.parametrize(
    ("days", "verdict", "text"), [(-900, "problem", "it is 900 days slow"), (900, "warning", "it may be 900 days fast")]
)
def test_a_wrong_clock_is_named(tmp_path: Path, days: float, verdict: str, text: str) -> None:
    """Files that were changed later than now show it, and files that are all very old make it doubtful."""
    report = examined(tmp_path, environ=faked(timedelta(days)))
    assert any(text in seen for seen in report.of("clock", verdict)), report.of("clock")
    assert "timedatectl" in report.advice(text)


@pytest.fixture
def time_server(tmp_path: Path) -> Generator[str]:
    """A real server of NTP on loopback, which takes the time of this machine for right."""
    chronyd = program("chronyd", "chrony")
    port = free_port()
    told = f"port {port}\nlocal stratum 1\nallow 127.0.0.1\ncmdport 0\nbindaddress 127.0.0.1\npidfile {tmp_path}/pid\n"
    (tmp_path / "chrony.conf").write_text(told)
    with subprocess.Popen([chronyd, "-x", "-d", "-U", "-u", "root", "-f", tmp_path / "chrony.conf"]) as server:
        yield f"127.0.0.1:{port}"
        server.terminate()


@needs_faketime
def test_a_server_of_ntp_tells_how_wrong_the_clock_is(tmp_path: Path, time_server: str) -> None:
    """Also where no file knows better; and a right clock is right."""
    deadline = time.monotonic() + 5
    while not (found := examined(tmp_path, arguments=("--ntp", time_server), environ=COOKIE)).of("clock", "ok")[2:]:
        assert time.monotonic() < deadline, found.of("clock")
    assert f"from that of {time_server}" in found.of("clock", "ok")[2]
    report = examined(tmp_path, arguments=("--ntp", time_server), environ=faked(timedelta(hours=3)))
    assert report.of("clock", "problem") == [f"the clock is 3 hours fast, by {time_server}"]
    assert report.exit_code == 1
