"""``foundation doctor`` on the machine of the test: what it says is true, and it names what is wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import trustme

from foundation.cli.doctor.checks import CHECKS
from foundation.cli.doctor.cookies import check_cookie
from foundation.cli.doctor.examining import examine
from foundation.cli.doctor.finding import Finding, ok
from foundation.cli.doctor.subject import Subject, subject_of
from foundation.cli.main import main
from tests.certificates import Authorities
from tests.cli.doctoring import examined

COOKIE = "a long cookie of a test"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody without any configuration."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("FOUNDATION_COOKIE", "FOUNDATION_CLUSTER", "FOUNDATION_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def subject(**environ: str) -> Subject:
    return subject_of({}, environ, None)


def told(name: str, **environ: str) -> list[tuple[str, str]]:
    return [(each.verdict, each.seen) for each in examine(subject(**environ), {name: CHECKS[name]}, 10.0)]


def test_the_report_is_true(folder: Path) -> None:
    """What it says of this machine agrees with what other programs say of it; every check says something."""
    report = examined(folder, "bash", "-c", 'ulimit -n 777; exec "$@"', "-", environ={"FOUNDATION_COOKIE": COOKIE})
    assert {each["check"] for each in report.findings} == {*CHECKS}
    assert report.of("open files", "warning") == ["a program may have 777 open files (ulimit -n)"]
    route = subprocess.run(["ip", "route", "show", "default"], capture_output=True, text=True, check=True).stdout
    assert bool(report.of("route", "ok")) == bool(route)
    assert report.of("cookie") == ["it comes from FOUNDATION_COOKIE"]
    assert report.of("permissions", "ok")[0] == f"home {folder} is writable"
    assert any(line.startswith("lo (127.0.0.1): ") for line in report.of("multicast", "ok"))
    assert any(socket.gethostname() in line for line in report.of("dns"))
    assert report.of("strategies", "ok")[0] == "local works, and finds nobody right now"
    assert report.of("loopback") == ["127.0.0.1 works"]
    assert report.exit_code == int(any(each["verdict"] == "problem" for each in report.findings))
    assert all(each["advice"] for each in report.findings if each["verdict"] != "ok")


def test_people_get_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check has its lines, what to do stands out, and the cookie is not shown."""
    monkeypatch.setenv("FOUNDATION_COOKIE", "hush")
    assert main(["doctor"]) in {0, 1}
    printed = capsys.readouterr().out
    assert "hush" not in printed
    assert all(f"│ {check} " in printed for check in CHECKS)
    assert "→ take one of 16 characters at least, at random" in printed
    assert "warning" in printed.splitlines()[-1]


def test_what_is_wrong_with_the_configuration_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the check of the configuration tells it; the rest is examined all the same, and the exit code is 1."""
    (folder / "foundation.toml").write_text("nmae = 'a'\ncluster = 'mdsn'")
    assert main(["doctor", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [each["seen"] for each in findings if each["check"] == "configuration"] == [
        "foundation.toml:1: nmae: there is no such key; did you mean name?",
        "foundation.toml:2: cluster: there is no strategy 'mdsn'; did you mean 'mdns'?",
    ]
    assert {each["check"] for each in findings} == {*CHECKS}


def test_who_holds_a_port_is_named() -> None:
    """The program, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told_of_door, told_of_session = told("address", FOUNDATION_PORT=str(port))
    assert told_of_door[0] == "problem"
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use, by " in told_of_door[1]
    assert f"(process {os.getpid()})" in told_of_door[1]
    assert told_of_session[0] == "ok"
    assert told("address", FOUNDATION_PORT=str(port))[0] == (
        "ok",
        f"the door (port) can listen on 127.0.0.1: port {port} is free",
    )


def test_an_address_of_another_machine_is_named() -> None:
    """Nobody can listen there."""
    found = told("address", FOUNDATION_HOST="203.0.113.7", FOUNDATION_PROBE_PORT="0")
    assert [verdict for verdict, _ in found] == ["problem"] * 3
    assert "cannot listen on 203.0.113.7:0" in found[0][1]


def test_the_cookie_is_examined_and_not_made(folder: Path) -> None:
    """None yet, one that others can read, an empty one: each is told; looking makes none."""
    file = folder / ".config" / "foundation" / "cookie"
    assert told("cookie") == [("ok", f"none is given; the first start makes {file}, for all nodes of this user")]
    assert not file.parent.exists()
    verdicts = [verdict for verdict, _ in told("cookie", FOUNDATION_HOST="0.0.0.0")]
    assert verdicts == ["ok", "warning"]
    file.parent.mkdir(parents=True)
    file.write_text("hush")
    file.chmod(0o644)
    assert told("cookie") == [("problem", f"other users may read the cookie in {file}")]
    file.chmod(0o600)
    assert told("cookie")[0][0] == "ok"
    file.write_text("")
    assert told("cookie") == [("problem", f"the cookie in {file} is empty")]
    assert told("cookie", FOUNDATION_COOKIE_FILE="lost")[0] == (
        "problem",
        "lost cannot be read: No such file or directory",
    )
    assert told("configuration", FOUNDATION_COOKIE_FILE="lost")[0][0] == "problem"
    assert told("cookie", FOUNDATION_COOKIE="")[0][0] == "warning"


def test_a_file_with_the_cookie_is_for_its_owner(folder: Path) -> None:
    """The configuration is often read by more people than a secret should be."""
    (folder / "foundation.toml").write_text(f"cookie = '{COOKIE}'")
    (folder / "foundation.toml").chmod(0o644)
    found = list(check_cookie(subject()))
    assert [finding.verdict for finding in found] == ["ok", "problem"]
    assert "chmod 600" in found[1].advice
    assert COOKIE not in str(found)


def test_certificates_are_examined(tmp_path: Path) -> None:
    """Good ones, ones that end soon, that have ended, and keys of others or for all to read."""
    authority = Authorities(tmp_path).ours
    good = authority.node("localhost")

    def certificates(**more: str) -> list[tuple[str, str]]:
        options = {"certificate": good.certificate, "private_key": good.private_key, "authority": good.authority} | more
        return told("tls", **{f"FOUNDATION_TLS_{name.upper()}": value for name, value in options.items()})

    Path(good.private_key).chmod(0o600)
    ((verdict, text),) = certificates()
    assert verdict == "ok"
    assert "belong together" in text
    other = authority.node("localhost")
    ((verdict, text),) = certificates(private_key=other.private_key)
    assert verdict == "problem"
    assert "does not belong to" in text
    Path(good.private_key).chmod(0o644)
    assert [verdict for verdict, _ in certificates()] == ["ok", "problem"]


@pytest.mark.parametrize(("days", "verdict", "text"), [(3, "warning", "only"), (-3, "problem", "expired")])
def test_the_end_of_a_certificate_is_named(tmp_path: Path, days: float, verdict: str, text: str) -> None:
    """Before it comes, and after."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    authority = trustme.CA()
    issued = authority.issue_cert(
        "localhost", not_before=datetime.now(UTC) - timedelta(9), not_after=datetime.now(UTC) + timedelta(days)
    )
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    issued.private_key_pem.write_to_path(tmp_path / "node-key.pem")
    (tmp_path / "node-key.pem").chmod(0o600)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "node.pem")
    ((seen_verdict, seen),) = told("tls", FOUNDATION_TLS=str(tmp_path))
    assert seen_verdict == verdict
    assert text in seen


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setattr("foundation.cli.doctor.finding_nodes.not_installed", lambda name: ["it"] * (name == "etcd"))
    (found,) = examine(subject(FOUNDATION_CLUSTER="etcd"), {"extras": CHECKS["extras"]}, 5.0)
    assert (found.verdict, found.advice) == ("problem", 'pip install "foundation[etcd]"')
    assert told("extras", FOUNDATION_CLUSTER="redis") == [("ok", "what redis needs is installed")]


def test_strategies_are_tried(folder: Path) -> None:
    """One that fails is a problem with its own words; one to fall back to is less than that."""
    found = told(
        "strategies",
        FOUNDATION_COOKIE=COOKIE,
        FOUNDATION_CLUSTER="hosts,static",
        FOUNDATION_FALLBACK="local",
        FOUNDATION_STRATEGIES__HOSTS__PATH="lost",
        FOUNDATION_STRATEGIES__LOCAL__FOLDER=str(folder / ".git" / "nodes"),
        FOUNDATION_PEERS="127.0.0.1:7400",
    )
    assert found == [
        ("problem", "hosts: the file of hosts lost cannot be read: No such file or directory"),
        ("ok", "static works, and finds 1 node right now"),
        ("ok", "local works, and finds nobody right now"),
    ]
    assert not (folder / ".git" / "nodes").exists()


def test_no_check_can_hang_or_break_the_report() -> None:
    """One that hangs and one that fails are findings, and the others are there."""
    stop = threading.Event()

    def hangs(_subject: Subject) -> list[Finding]:
        stop.wait()
        return []

    def fails(_subject: Subject) -> list[Finding]:
        message = "it is broken"
        raise RuntimeError(message)

    began = time.monotonic()
    try:
        found = examine(subject(), {"hangs": hangs, "fails": fails, "works": lambda _: [ok("fine")]}, 0.2)
    finally:
        stop.set()
    assert time.monotonic() - began < 2.0
    assert [(each.check, each.verdict, each.seen) for each in found] == [
        ("hangs", "warning", "it did not end within 0.2 s"),
        ("fails", "problem", "the check itself failed: RuntimeError: it is broken"),
        ("works", "ok", "fine"),
    ]
