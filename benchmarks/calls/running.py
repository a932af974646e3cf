"""Run one system once: its server, its client, one JSON line, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.calls.measuring import Plan
from benchmarks.calls.systems import ROOT, System, environment

_START_S = 30.0
_END_S = 5.0


def run_once(system: System, plan: Plan) -> dict[str, Any]:
    """Measure a system and return its figures; a RuntimeError says what it printed instead."""
    with tempfile.TemporaryDirectory(prefix="foundation-benchmark-") as folder:
        given = environment(Path(folder)) | system.environment
        server = _start(system.command("server", plan, ""), given) if system.has_server else None
        try:
            address = str(_line(server)["address"]) if server else ""
            client = _start(system.command("client", plan, address), given)
            try:
                output, errors = client.communicate(timeout=_START_S + 2 * plan.total_s)
            finally:
                _end(client)
        finally:
            if server is not None:
                _end(server)
    for line in reversed(output.splitlines()):
        with suppress(json.JSONDecodeError):
            figures: dict[str, Any] = json.loads(line)
            return figures
    message = f"{system.name} printed no figures:\n{errors[-2000:]}"
    raise RuntimeError(message)


def _start(command: list[str], given: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=given,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _line(server: subprocess.Popen[str]) -> dict[str, Any]:
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line:
        message = f"the server ended: {server.communicate()[1][-2000:]}"
        raise RuntimeError(message)
    facts: dict[str, Any] = json.loads(line)
    return facts


def _end(process: subprocess.Popen[str]) -> None:
    """Close its input, which ends it, and be sure; its children go with it."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
