"""The cookie: which one it is, where it comes from, and who else can read it. Its value is never shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from foundation.cli.doctor.finding import Finding, ok, problem, warning
from foundation.cli.doctor.folders import why_not_writable
from foundation.cli.doctor.subject import Subject
from foundation.config.cookie import cookie_file, read_cookie
from foundation.config.given import Given
from foundation.errors import ConfigurationError

_SHORTEST = 16


def check_cookie(subject: Subject) -> Iterator[Finding]:
    """Look at the cookie that a node would take."""
    given = subject.merged.get(("cookie",))
    named = subject.merged.get(("cookie_file",))
    if given is not None:
        yield from _given(given)
    elif named is not None:
        yield _in_file(Path(str(named.value)), f"as {named.place} says")
    else:
        yield from _own(subject)


def _given(given: Given) -> Iterator[Finding]:
    length, place = len(str(given.value)), given.place
    if length == 0:
        yield warning(f"it is empty, by {place}: everybody on this machine gets in", f"give {place} a long random text")
    elif length < _SHORTEST:
        advice = f"take one of {_SHORTEST} characters at least, at random"
        yield warning(f"the one in {place} is short: who records packets can try all", advice)
    else:
        yield ok(f"it comes from {place}")
    if given.source == "file":
        file = Path(place.rpartition(":")[0])
        if _others_read(file):
            yield problem(f"other users can read {file}, and the cookie in it", f"protect it: chmod 600 {file}")


def _own(subject: Subject) -> Iterator[Finding]:
    file = cookie_file()
    if file.exists():
        yield _in_file(file, "this user's own")
    elif why := why_not_writable(file.parent):
        yield problem(
            f"none is given, and this user's own cannot be made: {why}", "set FOUNDATION_COOKIE, alike on all nodes"
        )
    else:
        yield ok(f"none is given; the first start makes {file}, for all nodes of this user")
    if subject.listens_to_others:
        yield warning(
            "none is given, so this machine and others have different ones, and refuse each other",
            "set FOUNDATION_COOKIE or cookie_file, alike on all nodes",
        )


def _in_file(file: Path, which: str) -> Finding:
    try:
        read_cookie(file)
        mode = stat.S_IMODE(file.stat().st_mode)
    except ConfigurationError as error:  # it says what to do
        seen, _, advice = str(error).partition("; ")
        return problem(seen, advice)
    except OSError as error:
        return problem(f"{file} cannot be read: {error.strerror}", "correct its name or its permissions (chmod 600)")
    return ok(f"it comes from {file}, {which}, which only its owner can read ({mode:04o})")


def _others_read(file: Path) -> bool:
    return os.name == "posix" and file.exists() and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
