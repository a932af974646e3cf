"""Every module can be imported first, and importing the package stays cheap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in SOURCE.rglob("*.py")
)
HEAVY = ("numpy", "rich", "typer", "zenoh", "zeroconf")

# Runs in an interpreter that has imported nothing of ours: a fork of it is as fresh, and much faster to have.
# The child writes its failure, if any, to a pipe; the parent prints {module: failure} as JSON.
EACH_IN_A_FORK = """
import os, sys
failures = {}
for module in sys.argv[1:]:
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            __import__(module)
        except BaseException:
            import traceback
            os.write(writing, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        report = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if report or status:
        failures[module] = report or f"the interpreter ended with status {status}"
import json
print(json.dumps(failures))
"""


def run_python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=25).stdout


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    found: dict[str, str] = json.loads(run_python(EACH_IN_A_FORK, *MODULES).splitlines()[-1])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_on_its_own(module: str, failures: dict[str, str]) -> None:
    """No module needs another one to have been imported before it."""
    if module in failures:
        pytest.fail(f"import {module}\n{failures[module]}", pytrace=False)


def test_importing_the_package_is_cheap() -> None:
    """``import foundation`` loads neither the engine nor what only a command line or a strategy needs."""
    loaded = run_python("import sys, foundation; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)
