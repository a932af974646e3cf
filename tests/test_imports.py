"""Every module can be imported first, and importing the package stays cheap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for path in SOURCE.rglob("*.py")
)
pytestmark = pytest.mark.timeout(120)  # the first test imports them all
HEAVY = ("numpy", "pydantic", "pydantic_settings", "rich", "typer", "zenoh", "zeroconf")

# Runs in an interpreter that has imported nothing of ours: a fork of it is as fresh, and much faster to have.
# Each of the first forks takes its share of the modules, and prints {module: failure} as one line of JSON.
EACH_IN_A_FORK = """
import os, sys
modules = sys.argv[1:]
shares = os.cpu_count() or 1

def failure_of(module):
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
    return report or (status and f"the interpreter ended with status {status}")

for share in range(shares):
    if not os.fork():
        failures = {module: why for module in modules[share::shares] if (why := failure_of(module))}
        import json
        os.write(1, json.dumps(failures).encode() + b"\\n")
        os._exit(0)
for share in range(shares):
    os.wait()
"""


def run_python(program: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=100).stdout


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    shares = [json.loads(line) for line in run_python(EACH_IN_A_FORK, *MODULES).splitlines()]
    assert len(shares) == os.cpu_count()
    return {module: why for share in shares for module, why in share.items()}


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_on_its_own(module: str, failures: dict[str, str]) -> None:
    """No module needs another one to have been imported before it."""
    if module in failures:
        pytest.fail(f"import {module}\n{failures[module]}", pytrace=False)


def test_importing_the_package_is_cheap() -> None:
    """``import foundation`` loads neither the engine nor what only a command line or a strategy needs."""
    loaded = run_python("import sys, foundation; print(*sys.modules)").split()
    assert not set(loaded) & set(HEAVY)
