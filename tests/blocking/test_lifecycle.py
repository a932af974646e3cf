"""How a cluster in a thread starts and ends, and what cannot make a thread wait for ever."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import foundation
from foundation import blocking
from foundation.errors import (
    ConfigurationError,
    FabricLostError,
    ListenError,
    NotRunningError,
    RemoteError,
    RunningLoopError,
)
from foundation.processes import ProcessOptions
from tests.blocking.conftest import StartNodes
from tests.blocking.samples import Counter
from tests.blocking.threads import WITHIN_S, in_thread
from tests.programs import playground

START = """
import os, signal, sys, threading
import foundation
from foundation import blocking
from tests.blocking.samples import Counter
cluster = blocking.start_cluster(cluster="static", cookie="tests")
counter = cluster.start_process(Counter)
print("value", counter.add(1))
"""


def test_started_and_stopped(transport: str) -> None:
    """`start_cluster()` gives a running node, `stop()` ends it, twice does no harm, and then it is not usable."""
    cluster = blocking.start_cluster(cluster="static", cookie="tests", transport=transport)
    counter = cluster.start_process(Counter, 5)
    assert counter.add(2) == 7
    values = counter.watch()
    cluster.stop()
    cluster.stop()
    for use in (cluster.members, lambda: counter.add(1), lambda: next(values), lambda: cluster.ref(Counter, "count")):
        with pytest.raises(NotRunningError):
            use()
    with blocking.start_cluster(cluster="static", cookie="tests", transport=transport) as again:
        assert again.name == again.node.name == again.config.name


def test_a_start_that_fails_leaves_nothing(start_nodes: StartNodes) -> None:
    """Bad values and a port in use raise their errors in the calling thread."""
    (here,) = start_nodes("here")
    with pytest.raises(ConfigurationError):
        blocking.start_cluster(colour="red")
    port = int(here.address.rpartition(":")[2])
    with pytest.raises(ListenError, match="in use"):
        blocking.start_cluster(cluster="static", cookie="tests", port=port)
    assert here.start_process(Counter).add(1) == 1


def test_stopping_ends_who_waits(start_nodes: StartNodes) -> None:
    """Threads that wait for calls and streams when the cluster is stopped are told, wherever the process is."""
    here, there = start_nodes("here", "there", processes=ProcessOptions(stop_timeout_s=0.1))
    far = here.start_process(Counter, node=there.node)
    waiting = [in_thread(blocking.options(far, timeout_s=None).never), in_thread(lambda: next(far.silent()))]
    for _ in waiting:
        assert Counter.waiting.acquire(timeout=WITHIN_S)
    stops = [in_thread(here.stop) for _ in range(3)]
    for stop in stops:
        stop.result(WITHIN_S)
    for outcome in waiting:
        with pytest.raises(NotRunningError):
            outcome.result(WITHIN_S)
    for _ in waiting:
        assert Counter.cancelled.acquire(timeout=WITHIN_S)


def test_a_lost_fabric_is_raised_everywhere() -> None:
    """When the session is lost, calls under way and later ones raise FabricLostError, and so does `stop()`."""
    cluster = blocking.start_cluster(cluster="static", cookie="tests", handle_signals=False)
    counter = cluster.start_process(Counter)
    waiting = in_thread(blocking.options(counter, timeout_s=None).never)
    assert Counter.waiting.acquire(timeout=WITHIN_S)
    parts: Any = cluster.asynchronous._running
    parts.fabric._session._session._session.close()
    with pytest.raises(FabricLostError):
        waiting.result(WITHIN_S)
    for use in (cluster.members, lambda: counter.add(1), lambda: list(cluster.events()), cluster.stop):
        with pytest.raises(FabricLostError):
            use()
    assert Counter.cancelled.acquire(timeout=WITHIN_S)


def test_an_interrupt_cancels_the_call(start_nodes: StartNodes) -> None:
    """Ctrl-C in a waiting thread is raised at once and cancels the handler, or closes the generator, over there."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node=there.node)
    for wait in (blocking.options(counter, timeout_s=None).never, lambda: list(counter.silent())):
        interrupting = in_thread(_interrupt_when_waiting)
        with pytest.raises(KeyboardInterrupt):
            wait()
        interrupting.result(WITHIN_S)
        assert Counter.cancelled.acquire(timeout=WITHIN_S)
    assert counter.add(1) == 1


def _interrupt_when_waiting() -> None:
    assert Counter.waiting.acquire(timeout=WITHIN_S)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


async def test_async_code_is_refused(transport: str) -> None:
    """Where an event loop is running, each call says so, unless that was allowed; a thread beside the loop may call."""
    given: dict[str, Any] = {"cluster": "static", "cookie": "tests", "transport": transport}
    with pytest.raises(RunningLoopError, match="await"):
        blocking.start_cluster(**given)
    cluster = await asyncio.to_thread(blocking.start_cluster, **given)
    counter = await asyncio.to_thread(lambda: cluster.start_process(Counter))
    for use in (lambda: counter.add(1), cluster.members, cluster.stop, lambda: list(counter.watch())):
        with pytest.raises(RunningLoopError, match="await"):
            use()
    assert await asyncio.to_thread(counter.add, 1) == 1
    await asyncio.to_thread(cluster.stop)
    with blocking.start_cluster(**given, allow_running_loop=True) as allowed:
        assert allowed.start_process(Counter).add(1) == 1


def test_a_process_cannot_block_its_own_loop(start_nodes: StartNodes) -> None:
    """A blocking call on the cluster's own loop would wait for itself, and is refused whatever is allowed."""

    async def within() -> None:
        counter.add(1)

    (here,) = start_nodes("here", allow_running_loop=True)
    counter = here.start_process(Counter)
    with pytest.raises(RunningLoopError, match="cannot use"):
        here.run(within())


def test_a_loop_that_breaks_off_ends_who_waits() -> None:
    """When something ends the whole loop, threads that wait are told, and a new cluster gets a new loop."""
    given: dict[str, Any] = {"cluster": "static", "cookie": "tests", "transport": "memory"}
    given["processes"] = ProcessOptions(stop_timeout_s=0.1)
    cluster = blocking.start_cluster(**given)
    counter = cluster.start_process(Counter)
    waiting = in_thread(blocking.options(counter, timeout_s=None).never)
    assert Counter.waiting.acquire(timeout=WITHIN_S)
    cluster._session.thread.soon(sys.exit)
    with pytest.raises((NotRunningError, RemoteError)):
        waiting.result(WITHIN_S)
    cluster.stop()
    with pytest.raises(NotRunningError):
        counter.add(1)
    with blocking.start_cluster(**given) as other:
        assert other.start_process(Counter).add(1) == 1


async def test_a_program_that_just_ends_leaves_in_order() -> None:
    """Without `stop()` the others see the node leave, and a thread that still waits does not keep the program."""
    ending = "threading.Thread(target=lambda: print('ended', list(cluster.events()))).start()"
    async with playground() as ground, await ground.start(START + ending) as program:
        await program.line("value 1")
        assert await program.end() == 0
        assert "ended []" in program.output


async def test_others_see_it_leave() -> None:
    """A program that ends without `stop()`, or on SIGTERM, has left its cluster for the others, not died."""
    sigterm = "os.kill(os.getpid(), signal.SIGTERM); threading.Event().wait()"
    async with foundation.start_cluster(cluster="static", cookie="tests", handle_signals=False) as watcher:
        start = START.replace("cookie=", f"peers=['{watcher.address}'], cookie=")
        for ending, code in (("", 0), (sigterm, 143)):
            async with (
                playground() as ground,
                watcher.events() as events,
                await ground.start(start + ending) as program,
            ):
                async with asyncio.timeout(WITHIN_S):
                    assert await program.end() == code, program.output
                    seen = [event async for event in _until_gone(events)]
                assert isinstance(seen[-1], foundation.MemberLeft), seen


async def _until_gone(events: AsyncIterator[foundation.MemberEvent]) -> AsyncIterator[foundation.MemberEvent]:
    async for event in events:
        yield event
        if isinstance(event, (foundation.MemberLeft, foundation.MemberDown)):
            return


async def test_a_stuck_loop_delays_the_end_for_a_bounded_time() -> None:
    """A handler that never gives the loop back cannot keep the program from ending."""
    stuck = """
import foundation, time
class Stuck(foundation.Process):
    async def hang(self) -> None:
        print("stuck")
        time.sleep(1000)
from foundation.blocking import starting
starting.EXIT_TIMEOUT_S = 0.5
blocking.cast(cluster.start_process(Stuck).hang)
"""
    async with playground() as ground, await ground.start(START + stuck) as program:
        await program.line("stuck")
        assert await program.end() == 0
        assert "did not leave" in program.output


async def test_a_forked_process_is_told_to_start_its_own() -> None:
    """In a child process calls and starts fail at once and say why; the parent goes on, and both end."""
    fork = """
if os.fork() == 0:
    for use in (lambda: counter.add(1), cluster.members, lambda: blocking.start_cluster(cookie="tests")):
        try:
            use()
        except Exception as error:
            print(type(error).__name__, error)
    cluster.stop()
    sys.exit(0)
os.wait()
print("parent", counter.add(1))
"""
    async with playground() as ground, await ground.start(START + fork) as program:
        await program.line("parent 2")
        assert await program.end() == 0
        assert program.output.count("NotRunningError this process was forked") == 3
        assert "post_fork" in program.output
