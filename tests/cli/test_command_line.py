"""What the command line says to what is typed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

import foundation
from foundation.cli.main import main
from tests.commands import commands


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` prints the version of the library."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"foundation {foundation.__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_has_a_line_for_each_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The help, which is also what comes without arguments, describes each command in one line."""
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in ("demo", "node", "status", "config", "discover", "doctor"):
        assert [line for line in lines if line.startswith(f"  {command} ") and line.endswith(".")], lines


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("nod", "'node'"),
        ("bla", "'bla'"),
        ("--colour", "--colour"),
        ("node --nam x", "--name"),
        ("node one two", "two"),
        ("node --port http", "http"),
        ("node --port 70000", "65535"),
        ("node --peer nowhere", "the port is missing"),
        ("node --peer host:0", "from 1 to 65535"),
        ("node --cluster lokal", "local"),
        ("node --cluster-name /", "'/'"),
        ("node --cookie-file missing", "missing"),
        ("node --log-level loud", "warning"),
        ("node missing", "'missing'"),
        ("node missing.py", "does not exist"),
        ("node ./application", "does not exist"),
        ("node json.py", "rename the file"),
        ("node application.", "application."),
        ("status --timeout soon", "soon"),
        ("demo missing.txt", "missing.txt does not exist"),
        ("demo application.py .", "is not a regular file"),
    ],
)
def test_bad_input_is_answered_with_one_line(
    typed: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with what was typed, one line on stderr says so and helps, and the exit code is 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOUNDATION_COOKIE", "tests")
    monkeypatch.setattr("sys.path", [*sys.path])
    for name in ("application.py", "json.py"):
        (tmp_path / name).touch()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(typed.split()) == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    printed = capsys.readouterr()
    assert not printed.out
    assert len(printed.err.splitlines()) == 1, printed.err
    assert hint in printed.err


async def test_module_run_is_the_same_program() -> None:
    """``python -m foundation`` ends with the same line and exit code, and without a traceback."""
    async with commands() as cli:
        code, output = await cli.end("nod")
    assert code == 2
    assert output.startswith("foundation: No such command 'nod'. Did you mean 'node'?")
    assert len(output.splitlines()) == 1


async def test_port_in_use_is_a_failure_at_run_time() -> None:
    """A port that somebody uses is no bad input: one line says what to do, and the exit code is 1."""
    async with commands() as cli, await cli.start("node", "--name", "first") as first:
        _, ready = await first.line("first is ready at")
        port = ready.split(" in cluster")[0].rpartition(":")[2]
        code, output = await cli.end("node", "--port", port)
    assert code == 1
    assert output.startswith(f"foundation: cannot listen on 127.0.0.1:{port}: the port is in use")
    assert len(output.splitlines()) == 1
