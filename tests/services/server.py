"""A server program that a test starts, disturbs and stops."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

LOOPBACK = "127.0.0.1"
READY_WITHIN_S = 15.0


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str, *folders: str) -> str:
    """Return the path of a server, or skip the test and say what to install."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"the server {name!r} is not installed: apt-get install {package} (or tools/setup-services)")
    return found


@contextmanager
def folder(owner: str | None = None) -> Generator[Path]:
    """Make a folder for the data of a server, which belongs to the user ``owner``, and remove it."""
    made = Path(tempfile.mkdtemp(prefix="foundation-service-"))
    try:
        if owner is not None:
            shutil.chown(made, owner, owner)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Server:
    """One program with one command line; it can be stopped and started again, on the same port with the same data."""

    def __init__(self, command: Sequence[str], ready: str, *, user: str | None = None) -> None:
        """Prepare; it is taken for ready when it prints a line with ``ready``."""
        self._command = command
        self._ready = ready
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread()
        self._lines: deque[str] = deque(maxlen=50)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        heard = threading.Event()
        process = self._process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            user=self._user,
        )
        self._reader = threading.Thread(target=self._follow, args=(process, heard), daemon=True)
        self._reader.start()
        if not heard.wait(READY_WITHIN_S) or process.poll() is not None:
            self.kill()
            message = f"{self._command[0]} was not ready in {READY_WITHIN_S} s; it printed:\n" + "\n".join(self._lines)
            raise AssertionError(message)

    def kill(self) -> None:
        """End it at once, without a goodbye, with all processes that it has started."""
        process, self._process = self._process, None
        if process is not None:
            for each in reversed(family(process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            process.wait()
            self._reader.join(timeout=READY_WITHIN_S)
            if process.stdout is not None:
                process.stdout.close()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end and wait; kill it where it does not."""
        if self._process is not None:
            self._process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(READY_WITHIN_S)
            self.kill()

    def pause(self) -> None:
        """Let it hang: its connections stay, and it answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        for each in family(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(each, number)

    def _follow(self, process: subprocess.Popen[str], heard: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.append(line.rstrip())
            if self._ready in line:
                heard.set()
        heard.set()  # or a start that failed would be waited for


def family(pid: int) -> list[int]:
    """Return the process and all that descend from it, the oldest first."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
    return found


@contextmanager
def running(server: Server) -> Generator[None]:
    """Run the server for a block."""
    with ExitStack() as stack:
        stack.callback(server.kill)
        server.start()
        yield
