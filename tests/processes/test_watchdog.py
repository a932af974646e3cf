"""Whoever holds the event loop is noticed and named while it does; whoever waits is not."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from foundation.errors import CallTimeout
from foundation.processes.calling.verbs import options, send
from foundation.processes.decorators import concurrent, offload
from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from foundation.processes.serving.culprit import Culprit
from foundation.processes.serving.watchdog import Watchdog
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import MemoryWire, Network
from tests.waiting import eventually

_PATIENCE = 1_000


def hold_until_more(count: Callable[[], int]) -> None:
    """Block the thread until there is more of something."""
    never = threading.Event()
    before = count()
    for _ in range(_PATIENCE):
        if count() > before:
            return
        never.wait(0.01)
    pytest.fail("it was not noticed")


def make_holder(count: Callable[[], int]) -> type[Any]:  # noqa: C901 - one class that can do all
    """Make a class whose methods block until ``count`` grows."""

    class Holder(Process):
        def __init__(self, *, from_the_start: bool = False) -> None:
            self.from_the_start = from_the_start

        async def started(self) -> None:
            if self.from_the_start:
                hold_until_more(count)

        async def hold(self) -> None:
            await self._inner()

        async def _inner(self) -> None:
            hold_until_more(count)

        @concurrent
        async def aside(self) -> None:
            hold_until_more(count)

        async def stream(self) -> AsyncIterator[int]:
            yield 1
            hold_until_more(count)
            yield 2

        async def handle_message(self, message: int) -> None:
            assert message == 1
            hold_until_more(count)

        async def wait(self) -> None:
            await asyncio.Event().wait()

        @offload
        def work(self) -> None:
            threading.Event().wait(0.2)

    return Holder


@pytest.fixture
async def watched(start_host: StartHost) -> Host:
    return await start_host(ProcessOptions(slow_handler_s=0.03))


async def drain(stream: AsyncIterator[int]) -> list[int]:
    return [item async for item in stream]


def warnings_of(who: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for record in caplog.records if who in (message := record.getMessage()).partition(" held ")[0]]


def noticed(who: str, host: Host) -> int:
    """Count the stalls of one culprit, said or not."""
    assert host._watchdog is not None
    return sum(1 + unsaid for culprit, (_, unsaid) in host._watchdog._warned.items() if who in culprit)


@pytest.mark.parametrize("kind", ["hold", "aside", "stream", "handle_message"])
async def test_a_handler_is_named(kind: str, watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The warning says which process held the loop in which method, for how long, and where in the code it was."""
    holder = await watched.start(make_holder(lambda: watched.stalls), name="shop")
    if kind == "stream":
        assert await drain(holder.stream()) == [1, 2]
    elif kind == "handle_message":
        await send(holder, 1)
    else:
        await getattr(holder, kind)()
    said = await eventually(lambda: warnings_of("Holder shop", caplog))
    assert said[0].startswith(f"Holder shop in Holder.{kind} ")
    assert "held the event loop for 0." in said[0]
    assert "hold_until_more(count)" in said[0]


async def test_others_are_named_as_far_as_they_are_known(watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A task has its name, which for a process is its label, and a callback that of its function."""
    await watched.start(make_holder(lambda: watched.stalls), (), {"from_the_start": True}, name="slow")
    await eventually(lambda: warnings_of("Holder slow'", caplog))
    asyncio.get_running_loop().call_soon(hold_until_more, lambda: watched.stalls)
    await eventually(lambda: warnings_of("the callback hold_until_more", caplog))


async def test_it_is_named_while_it_holds(watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that may never return is named before it does, and its end is told too."""
    holder = await watched.start(make_holder(lambda: caplog.text.count("until now")), name="shop")
    await options(holder, timeout_s=None).hold()
    await eventually(lambda: "Holder shop in Holder.hold has let go of the event loop after" in caplog.text)
    assert "held the event loop until now, for" in warnings_of("Holder shop in Holder.hold", caplog)[0]
    assert noticed("Holder", watched) == 1


async def test_warnings_are_rare_and_counted(watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The same method of a process is warned of once in a while; the others are counted."""
    holder = await watched.start(make_holder(lambda: watched.stalls), name="shop")
    for held in (1, 2, 3):
        await holder.hold()
        await eventually(functools.partial(_was_noticed, held, watched))
    assert len(warnings_of("Holder.hold", caplog)) == 1
    await holder.aside()
    await eventually(lambda: warnings_of("Holder.aside", caplog))
    assert watched._watchdog is not None
    watched._watchdog._log_interval_s = 0.0
    await holder.hold()
    await eventually(lambda: "(and 2 times more" in caplog.text)
    assert watched.stalls >= 5


def _was_noticed(times: int, host: Host) -> bool:
    return noticed("Holder.hold", host) == times


async def test_many_are_not_mistaken_for_one(watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """When many short things fill one turn of the loop the warning says that the one it names was not alone."""

    async def a_little() -> None:
        threading.Event().wait(0.005)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(a_little(), name=f"little {number}")
    said = await eventually(lambda: warnings_of("little", caplog))
    assert "and others before it held the event loop " in said[0]
    assert watched.stalls > 0


async def test_what_is_remembered_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Ever new culprits do not fill the memory."""
    watchdog = Watchdog(ProcessOptions(slow_handler_s=60.0))
    caplog.set_level(logging.CRITICAL)
    for number in range(3_000):
        watchdog._report(Culprit(f"task {number}", "", None), "held", 1.0)
    assert len(watchdog._warned) <= 1_000
    watchdog.stop()


async def test_waiting_is_no_offense(watched: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that awaits, and one whose work is offloaded, hold nobody up."""
    holder = await watched.start(make_holder(lambda: 0))
    await holder.work()
    with pytest.raises(CallTimeout):
        await options(holder, timeout_s=0.2).wait()
    assert "Holder" not in caplog.text


async def test_a_loop_at_rest_is_innocent() -> None:
    """A loop that waits for something to happen is nobody's fault, however late the machine is."""
    watchdog = Watchdog(ProcessOptions(slow_handler_s=60.0))
    assert await asyncio.to_thread(_comes_to_rest, watchdog.find)
    watchdog.stop()


async def test_it_can_be_turned_off(start_host: StartHost) -> None:
    """Without a limit there is no thread, and nothing is counted."""
    before = set(threading.enumerate())
    host = await start_host(ProcessOptions(slow_handler_s=None))
    assert set(threading.enumerate()) == before
    assert host.stalls == 0


async def test_it_ends_with_its_node() -> None:
    """The thread is gone when the host is."""
    before = set(threading.enumerate())
    async with Host(MemoryWire(Network())):
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"foundation watchdog"}
    assert set(threading.enumerate()) == before


async def test_ending_it_takes_no_time() -> None:
    """It ends at once, whatever it was about to do."""
    began = time.monotonic()
    for _ in range(300):
        watchdog = Watchdog(ProcessOptions(slow_handler_s=0.0001))
        watchdog.stop()
        assert not watchdog._thread.is_alive()
    assert time.monotonic() - began < 10


def test_it_works_on_uvloop(caplog: pytest.LogCaptureFixture) -> None:
    """The faster loop, whose own work leaves no trace on the stack, is watched as well."""
    uvloop: Any = pytest.importorskip("uvloop")

    async def main() -> None:
        network = Network()
        wire = MemoryWire(network)
        async with Host(wire, options=ProcessOptions(slow_handler_s=0.03)) as host:
            network.hosts[wire.node_id] = host
            holder = await host.start(make_holder(lambda: host.stalls), name="shop")
            await holder.hold()
            await eventually(lambda: warnings_of("Holder shop in Holder.hold", caplog))
            asyncio.get_running_loop().call_soon(hold_until_more, lambda: host.stalls)
            await eventually(lambda: warnings_of("the callback hold_until_more", caplog))
            assert host._watchdog is not None
            assert await asyncio.to_thread(_comes_to_rest, host._watchdog.find)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def _comes_to_rest(culprit: Callable[[], Culprit | None]) -> bool:
    never = threading.Event()
    for _ in range(_PATIENCE):
        if culprit() is None:
            return True
        never.wait(0.01)
    return False
