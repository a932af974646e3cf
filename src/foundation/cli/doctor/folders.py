"""Folders in which a node writes, or its strategies do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from foundation.cli.doctor.finding import Finding, bad, ok
from foundation.cli.doctor.subject import Subject
from foundation.config.cookie import cookie_file
from foundation.discovery.folder import running_folder
from foundation.errors import DiscoveryError


def check_permissions(subject: Subject) -> Iterator[Finding]:
    """Write a file without a name into each of the folders, or where they would be made."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - the method raises where there is no home
    config = cookie_file()
    has_cookie = config.exists() or bool(subject.merged.keys() & {("cookie",), ("cookie_file",)})
    advice = "make it writable, or set FOUNDATION_COOKIE: a node without one wants to make it there"
    yield _writable("home", home, advice, matters=not has_cookie and config.is_relative_to(home))
    yield _writable("the configuration folder", config.parent, advice, matters=not has_cookie)
    uses_local = "local" in subject.strategies
    advice = "set XDG_RUNTIME_DIR or the option `folder` of the strategy local, or use another strategy"
    try:
        folder = _local_folder(subject)
    except DiscoveryError as error:
        yield bad(str(error), advice, matters=uses_local)
    else:
        yield _writable("the folder of running programs", folder, advice, matters=uses_local)


def why_not_writable(folder: Path) -> str:
    """Return why nothing can be written into a folder, or where it would be made; empty if it can."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    if not there.is_dir():
        return f"{there} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return f"{there} cannot be written: {error.strerror}"


def _writable(what: str, folder: Path, advice: str, *, matters: bool) -> Finding:
    if why := why_not_writable(folder):
        return bad(f"{what} {folder}: {why}", advice, matters=matters)
    made = "is writable" if folder.exists() else "can be made"
    return ok(f"{what} {folder} {made}")


def _local_folder(subject: Subject) -> Path:
    given = subject.merged.get(("strategies", "local", "folder"))
    return running_folder() if given is None else Path(str(given.value)).expanduser()
