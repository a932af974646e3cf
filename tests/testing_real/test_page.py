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


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended may still await somebody who asks how."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=False).stdout
    return state.strip()[:1] not in {"", "Z"}


async def run_pytest(folder: Path) -> tuple[int, str]:
    """Run pytest in a folder, as a user does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)),
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
    assert ("3 passed" if HostCluster.why_not() is None else "2 passed, 1 skipped") in output, output


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
