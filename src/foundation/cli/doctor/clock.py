"""The clock: whether it can be right, by files, by another clock of this machine, and by a server that was named."""

from __future__ import annotations

import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import foundation
from foundation.cli.doctor.finding import Finding, ok, problem, warning
from foundation.cli.doctor.subject import Subject
from foundation.discovery.peers import parse_address

_DAY_S = 86400.0
_BEHIND_S = 120.0
_AHEAD_S = 180 * _DAY_S
_OFF_S = 2.0
_LOOK_S = 0.2
_STEP_S = 0.05
_MOST_FILES = 2000
_NTP_S = 2.0
_NTP_PORT = 123
_NTP_EPOCH_S = 2208988800
_ADVICE = "set it, and keep it right by NTP: timedatectl set-ntp true, or chrony"


def check_clock(subject: Subject) -> Iterator[Finding]:
    """Hold the clock against everything that knows something about the time."""
    yield _against_files(time.time(), newest_of(_files()))
    yield _against_monotonic()
    if subject.ntp is not None:
        yield _against_server(subject.ntp)


def newest_of(files: Iterable[Path]) -> tuple[float, Path]:
    """Return when the newest file was changed, and which that is."""
    newest = 0.0, Path("/")
    for file in islice(files, _MOST_FILES):
        with suppress(OSError):
            newest = max(newest, (file.lstat().st_mtime, file))
    return newest


def _files() -> Iterator[Path]:
    """Yield what is changed often, or was made when this was installed."""
    yield from (Path(sys.executable).resolve(), Path(foundation.__file__), Path.cwd())
    yield Path(os.path.expanduser("~"))  # noqa: PTH111 - the method raises where there is no home
    for folder in (Path(foundation.__file__).parent, Path(tempfile.gettempdir()), *map(Path, ("/etc", "/run", "/var"))):
        yield folder
        with suppress(OSError):
            yield from islice(folder.iterdir(), 200)
    with suppress(OSError):
        yield from Path("/var/log").iterdir()


def _against_files(now: float, newest: tuple[float, Path]) -> Finding:
    changed, file = newest
    shown = f"the clock says {_written(now)}"
    if now < changed - _BEHIND_S:
        return problem(
            f"{shown}, but {file} was changed at {_written(changed)}: it is {_span(changed - now)} slow", _ADVICE
        )
    if now > changed + _AHEAD_S:
        return warning(
            f"{shown}, but the newest file, {file}, is of {_written(changed)}: it may be {_span(now - changed)} fast",
            _ADVICE,
        )
    return ok(f"{shown}, and the newest file was changed {_span(now - changed)} before")


def _against_monotonic() -> Finding:
    before = time.time() - time.monotonic()
    threading.Event().wait(_LOOK_S)
    step_s = time.time() - time.monotonic() - before
    if abs(step_s) > _STEP_S:
        return warning(
            f"the clock moved by {step_s:+.2f} s against the monotonic one within {_LOOK_S} s",
            "let one program alone set it, in small steps",
        )
    return ok("the clock goes as the monotonic one does")


def _against_server(server: str) -> Finding:
    try:
        off_s = ask_ntp(*parse_address(server, _NTP_PORT))
    except OSError as error:
        return warning(f"{server} does not tell the time: {error.strerror or error}", "name another server of NTP")
    if abs(off_s) > _OFF_S:
        return problem(f"the clock is {_span(abs(off_s))} {'slow' if off_s > 0 else 'fast'}, by {server}", _ADVICE)
    return ok(f"the clock is {off_s:+.3f} s from that of {server}")


def ask_ntp(host: str, port: int) -> float:
    """Return by how many seconds a server of NTP (RFC 5905) is ahead of this machine; raises OSError."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as asking:
        asking.settimeout(_NTP_S)
        asking.connect(address)
        sent = time.time()
        asking.send(b"\x23" + bytes(47))  # version 4, client
        answer = asking.recv(512)
        received = time.time()
    if len(answer) < 48 or answer[0] & 7 != 4 or answer[1] == 0:  # noqa: PLR2004 - a server's, and not a refusal
        raise OSError(0, "what answers is not a server of NTP that knows the time")
    heard, told = (_from_ntp(answer[at : at + 8]) for at in (32, 40))
    return ((heard - sent) + (told - received)) / 2


def _from_ntp(stamp: bytes) -> float:
    seconds: int
    part: int
    seconds, part = struct.unpack("!2I", stamp)
    return seconds + part / 2**32 - _NTP_EPOCH_S


def _written(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    for unit, length in (("days", _DAY_S), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
