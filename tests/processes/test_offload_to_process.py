"""Static methods that run in other programs, and what happens when those, or this one, die."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import ProcessDefinitionError, RemoteError
from foundation.processes.calling.verbs import cast, options
from foundation.processes.decorators import offload
from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from tests.processes.conftest import StartHost
from tests.processes.crunching import Cruncher, Job, OddError
from tests.programs import playground
from tests.waiting import eventually

ROOT = Path(__file__).parent.parent.parent

# Each test starts programs, on a machine that may be busy.
pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def cruncher(start_host: StartHost, here: Host) -> Cruncher:
    """A process on another node that may start one program, with patient references."""
    there = await start_host(ProcessOptions(offload_processes=1))
    return options(await here.start_on(there.node_id, Cruncher), timeout_s=60)


async def test_it_runs_elsewhere(cruncher: Cruncher) -> None:
    """The method runs in a program of its own, the same one each time; arguments and results are typed as ever."""
    elsewhere = await cruncher.where()
    assert elsewhere != os.getpid()
    assert await cruncher.crunch(Job([1, 2], 3)) == Job([3, 6])
    assert await cruncher.crunch(Job([1]), add=1) == Job([2])
    assert await cruncher.crunch_within(Job([1])) == Job([2])
    await cast(cruncher.take, 1)
    assert await cruncher.where() == elsewhere
    with pytest.raises(TypeError, match=r"Cruncher\.crunch: argument 'job'"):
        await cruncher.crunch(3)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


async def test_failures_leave_the_program_unharmed(cruncher: Cruncher) -> None:
    """Whatever a function raises or returns, its error arrives as itself, and the next call finds the same program."""
    elsewhere = await cruncher.where()
    with pytest.raises(OddError) as caught:
        await cruncher.fail("odd")
    assert caught.value.left == 2
    assert "in fail" in str(caught.value.__cause__)
    for kind, expected in {"value": ValueError, "exit": RemoteError, "stop": RemoteError}.items():
        with pytest.raises(expected):
            await cruncher.fail(kind)
    with pytest.raises(Exception, match="pickle"):
        await cruncher.fail("unpicklable")
    with pytest.raises(TypeError, match="cannot be pickled"):
        await cruncher.take(cruncher)
    assert await cruncher.where() == elsewhere


async def test_a_program_that_dies_is_replaced(cruncher: Cruncher) -> None:
    """The call that a dying program worked on fails; the next one gets a new program."""
    before = await cruncher.where()
    with pytest.raises(BrokenProcessPool):
        await cruncher.die()
    assert await cruncher.where() != before


async def test_the_end_of_a_node_ends_its_programs(start_host: StartHost, here: Host, tmp_path: Path) -> None:
    """A function that hangs lets its caller go at once, and is killed when the node ends."""
    there = await start_host(ProcessOptions(offload_processes=1))
    cruncher = options(await here.start_on(there.node_id, Cruncher), timeout_s=60)
    noted = tmp_path / "pid"
    async with asyncio.TaskGroup() as group:
        call = group.create_task(cruncher.hang(str(noted)))
        pid = int(await eventually(lambda: noted.exists() and noted.read_text(), within_s=60))
        call.cancel()
        await asyncio.wait([call])
    await there.__aexit__(None, None, None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_programs_end_when_their_node_is_killed() -> None:
    """Nothing is left of a node that was killed: what it started notices, even in the middle of its work."""
    async with playground(PYTHONPATH=str(ROOT)) as ground:
        noted = ground.folder / "pid"
        code = (
            "import asyncio\n"
            "from foundation.processes.offloading.programs import Programs\n"
            "from tests.processes.crunching import Cruncher\n"
            f"asyncio.run(Programs(1).run(Cruncher.hang.__wrapped__, ({str(noted)!r},), {{}}))\n"
        )
        async with await ground.start(code) as program:
            pid = int(await eventually(lambda: noted.exists() and noted.read_text(), within_s=60))
            program.send(signal.SIGKILL)
        await eventually(lambda: _is_gone(pid))


async def test_a_plain_object_works_without_a_node() -> None:
    """Outside of a node the function runs in a thread."""
    assert await Cruncher().crunch(Job([1], 2)) == Job([2])
    assert await Cruncher.where() == os.getpid()


def test_state_does_not_go_along() -> None:
    """A method that asks for `self` is refused when the class is made, a public one and a private one."""
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.crunch .*@staticmethod"):
        type("Shop", (Process,), {"crunch": offload(to="process")(_crunch)})
    with pytest.raises(ProcessDefinitionError, match=r"Shop\._crunch .*@staticmethod"):
        type("Shop", (Process,), {"_crunch": offload(to="process")(_crunch)})


def test_it_must_be_found_elsewhere() -> None:
    """A function that no other program could import is refused when it is marked."""
    with pytest.raises(ProcessDefinitionError, match="top of a module"):
        offload(to="process")(lambda: None)


def _crunch(self: Any) -> None: ...


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that nobody reaps, in a container without an init, has ended too.
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
