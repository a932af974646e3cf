"""Run ``foundation doctor`` as a user does, where a test wants it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NEVER_LONGER_S = 25.0


@dataclass(frozen=True, slots=True)
class Report:
    """What it printed."""

    exit_code: int
    findings: list[dict[str, str]]

    def of(self, check: str, verdict: str | None = None) -> list[str]:
        """Return what a check saw."""
        found = [each for each in self.findings if each["check"] == check]
        return [each["seen"] for each in found if verdict is None or each["verdict"] == verdict]

    def advice(self, seen: str) -> str:
        """Return what to do about the one finding that has this text."""
        (found,) = [each for each in self.findings if seen in each["seen"]]
        return found["advice"]


def examined(
    folder: Path, *prefix: str, arguments: tuple[str, ...] = (), environ: Mapping[str, str] | None = None
) -> Report:
    """Run it in ``folder``, which is also its home, behind a command that makes the place for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOUNDATION_", "XDG_"))}
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "foundation", "doctor", "--json", *arguments],
        cwd=folder,
        env=kept | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)} | dict(environ or {}),
        capture_output=True,
        text=True,
        timeout=NEVER_LONGER_S,
        check=False,
    )
    assert done.stdout, done.stderr
    return Report(done.returncode, json.loads(done.stdout)["findings"])
