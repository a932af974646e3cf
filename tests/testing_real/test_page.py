"""What docs/testing.md says is so, and what the fixtures for pytest promise."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.testing import HostCluster
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(60)
PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCK = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

FAILING = """
import asyncio
import pathlib
import pytest

@pytest.mark.foundation(nodes=1, modules=["printing"])
def test_fails(process_cluster):
    async def main():
        async with process_cluster(log_level="WARNING") as cluster:
            assert len(cluster.nodes) == 2
    asyncio.run(main())

def test_forgets(process_cluster):
    async def main():
        cluster = process_cluster(nodes=1)
        await cluster.__aenter__()
        pathlib.Path("pid").write_text(str(cluster.nodes[0].pid))
    asyncio.run(main())
"""

SIMULATED = """
import pytest

async def scenario(cluster):
    assert len(cluster.nodes) == 2
    cluster.nodes[0].kill()
    await cluster.until_agreed()
    return cluster.simulation.seed

@pytest.mark.foundation(nodes=2, seeds=3, modules=["printing"])
def test_each_seed(simulate):
    assert simulate(scenario, membership={"down_after_s": 1}) < 2

def test_no_marker(simulate):
    assert simulate(scenario, nodes=2) == simulate(scenario, nodes=2, seed=0)

def test_asked_seed(simulate):
    assert simulate(scenario, nodes=2, seed=7) == 7
"""


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may still await somebody who asks how."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=False).stdout
    return state.strip()[:1] not in {"", "Z"}


async def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a folder, as a user does."""
    command = (sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "--rootdir", str(folder))
    process = await asyncio.create_subprocess_exec(
        *(*command, *(arguments or [str(folder)])),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_page_on_testing_is_true(tmp_path: Path) -> None:
    """Every example of the page is a file, and the tests among them pass."""
    text = PAGE.read_text(encoding="utf-8")
    files = dict(BLOCK.findall(text))
    assert len(files) == text.count("```python") == 4
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    code, output = await run_pytest(tmp_path)
    assert code == 0, output
    assert ("23 passed" if HostCluster.why_not() is None else "22 passed, 1 skipped") in output, output


async def test_the_fixtures_show_logs_and_leave_nothing(tmp_path: Path) -> None:
    """What nodes print is in the report of a test that fails, and a cluster that nobody left is ended."""
    (tmp_path / "printing.py").write_text("print('printed on a node')\n")
    (tmp_path / "test_it.py").write_text(FAILING)
    code, output = await run_pytest(tmp_path)
    assert code == 1, output
    assert "1 failed, 1 passed" in output, output
    assert "nodes of cluster 1" in output
    assert "printed on a node" in output
    await eventually(lambda: not is_alive(int((tmp_path / "pid").read_text())))


async def test_a_simulated_failure_can_be_repeated(tmp_path: Path) -> None:
    """Each seed of the marker is a test; the report of one that fails shows the run, and the line that repeats it."""
    (tmp_path / "test_it.py").write_text(SIMULATED)
    code, output = await run_pytest(tmp_path)
    assert code == 1, output
    assert "1 failed, 4 passed" in output, output
    assert "simulation of seed 2" in output
    assert "node-0  killed" in output
    line = "To repeat it: PYTHONHASHSEED=0 pytest 'test_it.py::test_each_seed[seed2]' --foundation-seed=2"
    assert line in output, output
    code, output = await run_pytest(tmp_path, "test_it.py::test_each_seed[seed2]", "--foundation-seed=2")
    assert code == 1, output
    assert "1 failed in" in output, output
    code, output = await run_pytest(tmp_path, "test_it.py::test_each_seed", "--foundation-seed=1")
    assert "1 passed in" in output, output


def test_the_plugin_costs_little() -> None:
    """Pytest imports it at every start, for whoever has Foundation installed; Foundation it imports when it is used."""
    program = "import sys, pytest, pytest_foundation; print([name for name in sys.modules if name == 'foundation'])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
