"""``foundation demo``: see a cluster at work on this machine, checked."""

from __future__ import annotations

import json as json_format
import logging
import os
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from foundation.cli.failure import CommandFailed
from foundation.cli.joining import run
from foundation.cli.outcome import Expect, count_alone

_TEXTS = {".py", ".txt"}


def demo(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Text files. Default: the standard library of this Python.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing on the way.")] = False,
) -> int:
    """See a cluster form, count words, change its nodes meanwhile, and lose nothing."""
    return show_demo(_checked(files) if files else standard_library(), as_json=json)


def show_demo(files: Sequence[Path], *, as_json: bool, expect: Expect = count_alone) -> int:
    """Run the demo over ``files``, show it, and return the exit code: 0 only if every count is as expected.

    A test that wants to see a difference reported gives an ``expect`` that is wrong.
    """
    from foundation.cli.demonstration import Demonstration  # noqa: PLC0415 - its process classes are not every node's

    logging.getLogger("foundation").setLevel(logging.ERROR)  # the demo tells by itself who comes and goes
    if as_json:
        outcome = run(lambda: Demonstration(files, _Silence(), expect).run())
        print(json_format.dumps(outcome.as_dict()))
    else:
        from foundation.cli.demo_screen import TerminalScreen  # noqa: PLC0415 - rich, which a node must not load

        with TerminalScreen() as screen:
            outcome = run(lambda: Demonstration(files, screen, expect).run())
        screen.show(outcome)
    return 1 if outcome.differences else 0


def standard_library() -> list[Path]:
    """Return every source and text file of the standard library, without what was installed beside it."""
    found: list[Path] = []
    for folder, folders, names in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(name for name in folders if name not in {"site-packages", "dist-packages"})
        found += [Path(folder, name) for name in sorted(names) if Path(name).suffix in _TEXTS]
    return [file for file in found if os.access(file, os.R_OK)]


class _Silence:
    """A screen that shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def progress(self, share: float) -> None:
        """Show nothing."""


def _checked(files: list[Path]) -> list[Path]:
    for file in files:
        if not file.is_file():
            message = f"{file} {'is not a regular file' if file.exists() else 'does not exist'}"
            raise CommandFailed(message, exit_code=2)
        if not os.access(file, os.R_OK):
            message = f"{file} cannot be read: permission denied"
            raise CommandFailed(message, exit_code=2)
    return files
