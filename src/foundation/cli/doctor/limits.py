"""What the operating system allows a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from foundation.cli.doctor.finding import Finding, ok, problem, warning
from foundation.cli.doctor.subject import Subject

_ENOUGH = 1024
_TOO_FEW = 128


def check_descriptors(_subject: Subject) -> Iterator[Finding]:
    """Each member costs a node some open files: connections are files."""
    if sys.platform == "win32":
        yield ok("this system has no such limit")
        return
    import resource  # noqa: PLC0415 - not on every system

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "any number of" if soft == resource.RLIM_INFINITY else f"{soft}"
    seen = f"a program may have {most} open files (ulimit -n)"
    if soft == resource.RLIM_INFINITY or soft >= _ENOUGH:
        yield ok(seen)
        return
    can = "" if hard == resource.RLIM_INFINITY or hard >= _ENOUGH else f" (the system allows {hard}; see limits.conf)"
    advice = f"allow more, as each member takes some: ulimit -n {_ENOUGH}{can}"
    yield problem(seen, advice) if soft < _TOO_FEW else warning(seen, advice)
