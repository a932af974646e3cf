"""``foundation node module:tree`` and ``--workers``: trees on real nodes, killed and told to leave."""

from __future__ import annotations

import asyncio
import os
import re
import signal

import pytest

from foundation.cli.workers import Record
from tests.commands import commands
from tests.programs import Program

pytestmark = pytest.mark.timeout(60)
START_S = 30.0

SHOP = """
import asyncio, os
from foundation import Process, child, supervisor
from foundation.errors import ProcessCrash

class Till(Process):
    async def started(self):
        print(f"till opens in {os.getpid()}.", flush=True)

    async def crash(self):
        raise ProcessCrash("on fire")

    async def stopping(self, reason):
        print(f"till closes in {os.getpid()}.", flush=True)

tree = supervisor(child(Till, name="till"), max_restarts=1, name="shop")
each = supervisor(child(Till))
number = 3

async def burn(cluster):
    shop = await cluster.start_process(tree.spec, name="shop")
    for _ in range(2):
        try:
            await cluster.ref(Till, "till").crash()
        except Exception as error:
            print(type(error).__name__, flush=True)
    raise SystemExit(4)

class Doomed(Process):
    async def started(self):
        asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(self.reference.crash()))

    async def crash(self):
        raise ProcessCrash("as ever")

async def quit(cluster):
    if cluster.name.endswith("-2"):
        raise SystemExit(5)
    await cluster.start_process(Till, name="till")

doomed = supervisor(child(Till), child(Doomed), max_restarts=2)
"""


async def pid_of(program: Program) -> int:
    """Return in which OS process the next till is opened."""
    _, line = await program.line("till opens in ", START_S)
    found = re.search(r"till opens in (\d+)[.]", line)  # lines of several workers can run into each other
    assert found is not None, line
    return int(found[1])


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_node_runs_a_tree() -> None:
    """The tree starts with the node, and its children stop in order when the node is told to leave."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        async with await cli.start("node", "shop.py:tree", "--name", "one") as one:
            assert await pid_of(one) == one.process.pid
            one.send(signal.SIGTERM)
            await one.line("till closes")
            assert await one.end() == 0


@pytest.mark.parametrize(
    ("attribute", "code", "says"),
    [
        ("doomed", 1, "gives up"),
        ("burn", 4, "RemoteError"),
        ("number", 2, "shop:number is 3; name a supervisor(...)"),
        ("nothing", 2, "shop:nothing does not exist"),
    ],
)
async def test_what_is_named_ends_its_node(attribute: str, code: int, says: str) -> None:
    """A tree that gives up ends its node with 1, a function with its own code, and what is neither with 2."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        ended, output = await cli.end("node", f"shop:{attribute}", "--name", "one")
    assert says in output
    assert ended == code


async def test_workers_are_started_again() -> None:
    """One that is killed comes back under its name, SIGTERM ends all of them in order, and none is left."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        async with await cli.start("node", "shop:each", "--workers", "2", "--name", "shop") as parent:
            pids = {await pid_of(parent), await pid_of(parent)}
            killed, kept = pids
            os.kill(killed, signal.SIGKILL)
            again = await pid_of(parent)
            assert again not in pids
            assert "started again" in parent.output
            for name in ("shop-1", "shop-2"):
                assert f"{name} is ready" in parent.output
            parent.send(signal.SIGTERM)
            assert await parent.end(START_S) == 0
        assert all(f"till closes in {pid}." in parent.output for pid in (kept, again)), parent.output
        assert not any(map(is_running, (killed, kept, again)))


async def test_workers_end_with_their_parent() -> None:
    """They leave in order also when the parent is killed, and has no say any more."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        async with await cli.start("node", "shop:each", "--workers", "2") as parent:
            pids = [await pid_of(parent) for _ in range(2)]
            parent.send(signal.SIGKILL)
            await asyncio.gather(*parent._readers)  # they hold its output
            await parent.process.wait()
        assert all(f"till closes in {pid}." in parent.output for pid in pids), parent.output


async def test_workers_end_when_one_ends_too_often() -> None:
    """The others leave in order, and the command says who it was, and why, and ends with 1."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        arguments = ("node", "shop:quit", "--workers", "2", "--max-restarts", "2", "--within", "30")
        async with await cli.start(*arguments) as parent:
            till = await pid_of(parent)
            assert await parent.end(START_S) == 1
        assert "node-2 is given up, and all workers leave: more than 2 restarts within 30 s; its exit code was 5" in (
            parent.output
        )
        assert parent.output.count("node-2 is ready") == 3
        assert f"till closes in {till}." in parent.output
        assert not is_running(till)


def test_only_starts_that_fail_in_a_row_count_for_ever() -> None:
    """One that was ready in between begins a new row, and restarts outside of the period count no more."""
    record = Record(max_restarts=2, within_s=10.0)
    assert [record.enter(20.0 * n, 15.0, was_ready=n % 3 == 0) for n in range(9)] == [None] * 9
    assert record.enter(200.0, 15.0, was_ready=False) == "it ended 3 times in a row before it was ready"
    record = Record(max_restarts=2, within_s=10.0)
    whys = [record.enter(at, 0.1, was_ready=True) for at in (0.0, 4.0, 11.0, 14.5, 15.0)]
    assert whys == [None, None, None, None, "more than 2 restarts within 10 s"]


async def test_workers_end_when_one_is_never_ready() -> None:
    """However slowly its start fails: that counts by the number in a row, not by the time that it takes."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP + "import os\nos._exit(7)\n")
        code, output = await cli.end("node", "shop", "--workers", "1", "--max-restarts", "1", "--within", "0.001")
    assert code == 1
    assert "node-1 is given up, and all workers leave: it ended 2 times in a row before it was ready" in output
    assert output.count("its exit code was 7") == 1
    assert "is ready" not in output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["shop:nothing"], "does not exist"), (["shop", "--port", "7000"], "cannot share a port")],
)
async def test_workers_that_cannot_run_end_at_once(arguments: list[str], says: str) -> None:
    """What is wrong with what was typed would be wrong another time: nobody tries again."""
    async with commands() as cli:
        (cli.ground.folder / "shop.py").write_text(SHOP)
        code, output = await cli.end("node", *arguments, "--workers", "2")
    assert says in output
    assert code == 2
