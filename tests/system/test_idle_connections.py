"""What strangers do at the door of a node costs those who belong there little."""

from __future__ import annotations

import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from foundation.core.secret import Secret
from foundation.fabric import NodeAddress
from tests.programs import Program
from tests.system.pairs import COOKIE, Pair, pair, told
from tests.system.strangers import dialing, recorded_handshake, silent
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count open files")

PROCESSES = """
class Counter(foundation.Process, wire_name="Counter"):
    def __init__(self):
        self.value = 0
    async def add(self, n: int) -> int:
        self.value += n
        return self.value

class Porter(foundation.Process, wire_name="Porter"):
    async def refused(self) -> int:
        return parts().fabric.refused
"""

STORY = """
async def story(cluster):
    server = await server_of(cluster)
    porter = await cluster.start_process(Porter, node=server)
    counters = [await cluster.start_process(Counter, node=server) for _ in range(16)]
    await until_linked(server)
    async def caller(counter, until):
        done = 0
        while time.monotonic() < until:
            await counter.add(1)
            done += 1
        return done
    while await told():
        began = time.monotonic()
        calls = sum(await asyncio.gather(*[caller(counters[n % 16], began + 1) for n in range(64)]))
        rate = calls / (time.monotonic() - began)
        tell(event="Rate", rate=rate, refused=await porter.refused())
"""


@pytest.fixture(autouse=True)
def many_files() -> Generator[None]:
    """Let this program, and those that it starts, open as many files as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def files_of(program: Program) -> int:
    return len(list(Path(f"/proc/{program.process.pid}/fd").iterdir()))


async def a_second_of_calls(driver: Program) -> dict[str, Any]:
    await driver.enter("go")
    return await told(driver, "Rate")


async def undisturbed(nodes: Pair) -> dict[str, Any]:
    await a_second_of_calls(nodes.driver)  # the first second is for warming up
    return await a_second_of_calls(nodes.driver)


async def test_a_thousand_idle_connections_and_bad_dialers_slow_nobody_down() -> None:
    """Beside 1,000 silent connections and dialers of every bad kind, calls all succeed, half as fast at the least."""
    async with pair(PROCESSES, STORY, max_strangers=2000, handshake_timeout_s=60) as nodes:
        driver, server, where = nodes
        address = NodeAddress.parse(where)
        good_handshake = await recorded_handshake(address, Secret(COOKIE))
        before = await undisturbed(nodes)
        files = files_of(server)
        async with silent(address, 1000):
            await eventually(lambda: files_of(server) >= files + 1000)
            async with dialing(address, good_handshake) as tries:
                disturbed = await a_second_of_calls(driver)
                await eventually(lambda: len(tries) == 4)
            after = await a_second_of_calls(driver)
        assert disturbed["rate"] >= min(before["rate"], after["rate"]) / 2
        assert after["refused"] == tries["wrong cookie"] + tries["garbage"] + tries["replayed"]
        logged = server.output
        assert all(
            text in logged for text in ("refused mallory", "refused replayed", "what it sent is not a handshake")
        )
        await eventually(lambda: files_of(server) <= files)


async def test_a_door_that_is_full_sheds_the_rest() -> None:
    """By default few silent connections stand, not for long: calls go on, and all files are closed by the door."""
    async with pair(PROCESSES, STORY) as nodes:
        driver, server, where = nodes
        before = await undisturbed(nodes)
        files = files_of(server)
        async with silent(NodeAddress.parse(where), 1000):
            disturbed = await a_second_of_calls(driver)
            await server.line("128 strangers stand at the door already")
            await server.line("it did not prove itself in 3.0 s")
            await eventually(lambda: files_of(server) <= files)
            after = await a_second_of_calls(driver)
        assert after["refused"] >= 1000
        assert disturbed["rate"] >= min(before["rate"], after["rate"]) / 2
