"""``foundation demo``: it counts right, says so, notices when it does not, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from foundation.cli.outcome import compare
from tests.commands import commands
from tests.waiting import eventually

TOGETHER = "together: demo, demo-1, demo-2, demo-3"
WRONG = """
import sys
from collections import Counter
from pathlib import Path
from foundation.cli.demo import show_demo

files = [Path(name) for name in sys.argv[1:]]
sys.exit(show_demo(files, as_json=True, expect=lambda files: Counter({"one": 2, "nowhere": 1})))
"""
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes under /proc")


def write_texts(folder: Path) -> list[str]:
    """Write two files; one ends in the middle of a line, and not everything in them is UTF-8."""
    (folder / "a.txt").write_bytes(b"one \xff two\n" * 300 + b"three")
    (folder / "b.txt").write_text("four\nzw\u00f6lf\n" * 200, encoding="utf-8")
    return ["a.txt", "b.txt"]


def nodes_of(cluster: str) -> dict[int, list[str]]:
    """Return the arguments of the nodes of a cluster that run on this machine, by process id."""
    found: dict[int, list[str]] = {}
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_text().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if cluster in arguments:
            found[int(file.parent.name)] = arguments
    return found


async def test_demo_counts_every_word() -> None:
    """With one node leaving, one joining and one killed meanwhile, every count is right, and the exit code 0."""
    async with commands() as cli:
        code, output = await cli.end("demo", "--json", *write_texts(cli.ground.folder))
    outcome = json.loads(output)
    assert code == 0
    assert outcome["verdict"] == "OK"
    assert (outcome["files"], outcome["words"]) == (2, 601 + 400)
    assert {node["name"]: node["part"] for node in outcome["nodes"]} == {
        "demo": "hands out",
        "demo-1": "stayed",
        "demo-2": "left",
        "demo-3": "killed",
        "demo-4": "joined",
    }


@pytest.mark.timeout(120)
async def test_demo_survives_a_kill_under_load() -> None:
    """Over the whole standard library the counter of the killed node goes on elsewhere, after a gap that is told."""
    async with commands() as cli:
        code, output = await cli.end("demo", "--json", timeout_s=60)  # some seconds on a free machine
    outcome = json.loads(output)
    assert (code, outcome["verdict"]) == (0, "OK")
    assert 0 < outcome["gap_s"] < 5
    assert outcome["calls"] > outcome["lines"] / 50, "nothing was counted again"


async def test_demo_tells_what_differs() -> None:
    """When the counts are not what is expected, the verdict names the words, and the exit code is 1."""
    async with commands() as cli:
        (cli.ground.folder / "text.txt").write_text("one")
        async with await cli.python("-c", WRONG, "text.txt") as program:
            code = await program.end()
            outcome = json.loads(program.output)
    assert code == 1
    assert outcome["verdict"] == "'nowhere': 0 counted, 1 expected; 'one': 1 counted, 2 expected"


def test_long_differences_are_cut() -> None:
    """Only some of many differences are named, with the number of the others."""
    assert compare({}, {str(number): 1 for number in range(9)})[5:] == ["and 4 more"]
    assert compare({"a": 1}, {"a": 1}) == []


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_demo_leaves_nobody_behind(number: signal.Signals) -> None:
    """However the demo is ended, its nodes end too."""
    async with commands() as cli, await cli.start("demo") as demo:
        await demo.line(TOGETHER)
        cluster = f"demo-{demo.process.pid}"
        assert nodes_of(cluster)
        demo.send(number)
        assert await demo.end() != 0
        assert "Traceback" not in demo.output
        await eventually(lambda: not nodes_of(cluster))


@needs_proc
async def test_demo_tells_when_a_node_dies() -> None:
    """A node that dies ends the demo with exit code 1 and a line that names it."""
    async with commands() as cli, await cli.start("demo") as demo:
        await demo.line(TOGETHER)
        cluster = f"demo-{demo.process.pid}"
        (pid,) = [pid for pid, arguments in nodes_of(cluster).items() if "demo-3" in arguments]
        os.kill(pid, signal.SIGKILL)
        assert await demo.end() == 1
        await demo.line("foundation: the node demo-3")
        assert not nodes_of(cluster)
