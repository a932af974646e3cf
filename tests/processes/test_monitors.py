"""Monitors tell once when and why a process ended; links let processes share their fate; near and far alike."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from foundation.core.identity import ProcessId
from foundation.errors import NoSuchProcessError, NotRunningError
from foundation.processes import Ended, EndReason, Monitor, Process, ProcessOptions
from foundation.processes.host import Host
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.samples import Counter
from tests.processes.waiting import until
from tests.waiting import turns


class Failing(Process):
    """Fails where it is told to."""

    def __init__(self, where: str = "stopping") -> None:
        self._where = where
        self._go_on = asyncio.Event()

    async def started(self) -> None:
        if self._where == "started":
            message = "not today"
            raise LookupError(message)

    async def fail(self) -> None:
        message = "in a handler"
        raise LookupError(message)

    async def stopping(self, reason: str) -> None:
        if self._where == "stopping":
            message = f"cannot stop, though {reason}"
            raise LookupError(message)
        await self._go_on.wait()


def make_watching(log: list[Any]) -> Any:
    """Make a class that watches others, and logs what it is told and why it stops."""

    class Watching(Process):
        async def watch(self, process_id: ProcessId) -> None:
            log.append(self.monitor(process_id))

        async def start_other(self, where: str) -> Failing:
            return await self.start_linked(Failing, where)

        async def handle_ended(self, ended: Ended) -> None:
            log.append(ended)

        async def stopping(self, reason: str) -> None:
            log.append(reason)

    return Watching


def watch(host: Host, target: Any) -> Monitor:
    return Monitor(lambda tell: host.monitors.watch(target.process_id, tell))


async def test_the_end_is_told_with_its_reason(here: Host, target: Host) -> None:
    """A process that is stopped ends for the reason that was given; all who watch it are told, by one call."""
    counter = await here.start_on(target.node_id, Counter)
    first, second = watch(here, counter), watch(here, counter)
    assert (len(here.monitors), len(here.calls)) == (1, 1)
    await counter.add(1)
    await here.stop(counter.process_id, "enough")
    ended = await first
    assert ended == Ended(target.node_id, counter.process_id, EndReason.STOPPED, "enough")
    assert ended.is_normal
    assert [one async for one in second] == [ended]
    assert [one async for one in second] == [], "exactly one item"
    assert await first == ended, "who awaits it again is told the same"
    assert (len(here.monitors), len(here.calls)) == (0, 0)


async def test_an_end_comes_after_what_was_said_before_it(here: Host, target: Host) -> None:
    """The answer to a call that was handled before the end is there before the end is told."""
    counter = await here.start_on(target.node_id, Counter)
    order: list[str] = []
    call = asyncio.ensure_future(counter.add(1))
    call.add_done_callback(lambda _: order.append("answer"))
    monitor = watch(here, counter)
    stop = asyncio.ensure_future(here.stop(counter.process_id, "enough"))
    await monitor
    order.append("end")
    await stop
    assert order == ["answer", "end"]


async def test_an_error_of_a_handler_is_no_end(here: Host, target: Host) -> None:
    """A process lives on after a handler that raised; one that fails in `stopping` has crashed, and says with what."""
    failing = await here.start_on(target.node_id, Failing)
    monitor = watch(here, failing)
    with pytest.raises(LookupError, match="in a handler"):
        await failing.fail()
    assert not monitor.is_over
    await here.stop(failing.process_id, "asked to")
    ended = await monitor
    assert (ended.reason, ended.error_type) == (EndReason.CRASHED, "builtins:LookupError")
    assert ended.text == "cannot stop, though asked to"
    assert not ended.is_normal
    assert str(ended) == f"process {failing.process_id} ended: crashed: LookupError: cannot stop, though asked to"


async def test_who_has_to_be_cancelled_has_crashed(start_host: StartHost, here: Host) -> None:
    """A process that does not stop in time did not end in order."""
    there = await start_host(ProcessOptions(stop_timeout_s=0.02))
    hanging = await here.start_on(there.node_id, Failing, ("never",))
    monitor = watch(here, hanging)
    await here.stop(hanging.process_id)
    assert (await monitor).reason is EndReason.CRASHED
    assert "did not stop within" in (await monitor).text


async def test_who_does_not_exist_has_ended(here: Host, target: Host) -> None:
    """A process that ended before it was watched, or never was, is no such process."""
    counter = await here.start_on(target.node_id, Counter)
    await here.stop(counter.process_id)
    for process_id in (counter.process_id, ProcessId(target.node_id, 4711)):
        monitor = Monitor(lambda tell, it=process_id: here.monitors.watch(it, tell))  # type: ignore[misc]
        assert await monitor == Ended(target.node_id, process_id, EndReason.NO_SUCH_PROCESS)


async def test_a_node_that_goes_down_ends_its_processes(here: Host, there: Host, network: Network) -> None:
    """All that is watched there is told as down, once; who asks afterwards is told the same, at once."""
    counters = [await here.start_on(there.node_id, Counter) for _ in range(3)]
    monitors = [watch(here, counter) for counter in counters]
    network.down(there.node_id)
    assert [(await monitor).reason for monitor in monitors] == [EndReason.NODE_DOWN] * 3
    assert (await watch(here, counters[0])).reason is EndReason.NODE_DOWN
    assert len(here.monitors) == 0
    there.node_down(here.node_id)
    assert len(there._requests) == 0, "nothing is left over there either"


async def test_a_node_that_leaves_says_so(here: Host, there: Host) -> None:
    """Processes of a node that stops in order end because it leaves, whether they are told by it or by the others."""
    counter = await here.start_on(there.node_id, Counter)
    told_by_others, told_by_itself = watch(here, await here.start_on(there.node_id, Counter)), watch(here, counter)
    del told_by_others
    here.node_left(there.node_id)
    assert (await told_by_itself).reason is EndReason.NODE_LEFT
    again = watch(here, counter)
    await there.__aexit__(None, None, None)
    ended = await again
    assert (ended.reason, ended.text) == (EndReason.NODE_LEFT, "the node stops")


async def test_a_cancelled_monitor_leaves_nothing(here: Host, target: Host) -> None:
    """The call to the other node ends with the last who watches: cancelled, left, dropped, or given up by who waits."""
    counter = await here.start_on(target.node_id, Counter)
    kept, cancelled, dropped = (watch(here, counter) for _ in range(3))
    waiting = asyncio.ensure_future(_wait(kept))
    await turns()
    cancelled.cancel()
    cancelled.cancel()
    assert [one async for one in cancelled] == []
    with pytest.raises(NotRunningError):
        await cancelled
    del dropped
    gc.collect()
    await turns()
    assert (len(here.monitors), len(here.calls), len(target._requests)) == (1, 1, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with kept:
        assert not kept.is_over, "somebody else may still wait for it"
    await until(lambda: len(target._requests) == 0, "the other side knows")
    assert (len(here.monitors), len(here.calls)) == (0, 0)
    assert (await _end_of(here, counter)).reason is EndReason.STOPPED, "it can be watched again"


async def _wait(monitor: Monitor) -> Ended:
    return await monitor


async def _end_of(host: Host, reference: Any) -> Ended:
    monitor = watch(host, reference)
    await host.stop(reference.process_id)
    return await monitor


async def test_many_monitors_are_cheap(here: Host, there: Host) -> None:
    """10,000 monitors of the processes of a node are no tasks there, and one call for each process."""
    counters = [await here.start_on(there.node_id, Counter) for _ in range(100)]
    tasks = len(asyncio.all_tasks())
    monitors = [watch(here, counter) for counter in counters for _ in range(100)]
    await until(lambda: len(there._requests) == 100, "all are watched")
    assert len(here.calls) == 100
    assert len(asyncio.all_tasks()) == tasks
    for counter in counters:
        await here.stop(counter.process_id, "enough")
    assert {(await monitor).text for monitor in monitors} == {"enough"}


async def test_a_stopped_node_lets_its_monitors_go(start_host: StartHost, there: Host) -> None:
    """Who watches something on a node that stops learns that nobody will tell."""
    leaving = await start_host()
    monitor = watch(leaving, await leaving.start_on(there.node_id, Counter))
    await leaving.__aexit__(None, None, None)
    with pytest.raises(NotRunningError):
        await monitor


async def test_a_process_handles_an_end_as_a_message(here: Host, target: Host) -> None:
    """`handle_ended` runs once for what a process watches; what it watches is let go when it ends."""
    log: list[Any] = []
    counter = await here.start_on(target.node_id, Counter)
    watching = await here.start(make_watching(log))
    await watching.watch(counter.process_id)
    await here.stop(counter.process_id, "enough")
    await until(lambda: len(log) == 2, "it was told")
    assert log[1] == await log[0] == Ended(target.node_id, counter.process_id, EndReason.STOPPED, "enough")
    await watching.watch((await here.start_on(target.node_id, Counter)).process_id)
    assert (len(here.ties), len(here.monitors)) == (1, 1)
    await here.stop(watching.process_id, "too")
    assert (len(here.ties), len(here.monitors), log[2].is_over, log[3]) == (0, 0, True, "too")


async def test_linked_processes_share_a_bad_end(here: Host, target: Host) -> None:
    """When either of two linked processes crashes the other is stopped, for a reason that names the first."""
    log: list[Any] = []
    watching_class = make_watching(log)
    first = await here.start_on(target.node_id, Failing)
    second = await here.start(watching_class, link=first.process_id)
    third = await here.start(watching_class, link=second.process_id)
    monitor = watch(here, third)
    await here.stop(first.process_id, "asked to")
    assert (await monitor).reason is EndReason.LINKED
    assert f"linked process {first.process_id} ended: crashed: LookupError" in log[0]
    assert f"linked process {second.process_id} ended: linked" in log[1], "and so on, along the chain"
    other = await here.start(watching_class)
    failing = await here.start_on(target.node_id, Failing, link=other.process_id)
    monitor = watch(here, other)
    await here.stop(failing.process_id)
    assert (await monitor).reason is EndReason.LINKED, "in the other direction too"
    assert len(here.ties) == len(target.ties) == 0


async def test_a_normal_stop_takes_nobody_along(here: Host, target: Host) -> None:
    """A process that is stopped in order leaves those alone that it was linked with, and no link behind."""
    counter = await here.start_on(target.node_id, Counter)
    linked = await here.start(Counter, link=counter.process_id)
    assert await linked.add(1) == 1
    await here.stop(linked.process_id)
    assert await counter.add(1) == 1
    again = await here.start(Counter, link=counter.process_id)
    await here.stop(counter.process_id)
    await until(lambda: len(here.ties) + len(target.ties) == 0, "the link is gone")
    assert await again.add(1) == 1
    assert len(here.monitors) == len(target.monitors) == 0


async def test_a_node_that_goes_down_takes_linked_processes_along(here: Host, there: Host, network: Network) -> None:
    """The process that is left of a linked pair is stopped when the node of the other one is down."""
    far = await here.start_on(there.node_id, Counter)
    near = await here.start(Counter, link=far.process_id)
    monitor = watch(here, near)
    network.down(there.node_id)
    ended = await monitor
    assert (ended.reason, "node down" in ended.text) == (EndReason.LINKED, True)
    there.node_down(here.node_id)


async def test_nobody_is_linked_with_who_is_gone(here: Host, target: Host) -> None:
    """A start that is to be linked with a process that has ended fails, and leaves nothing running."""
    counter = await here.start_on(target.node_id, Counter)
    await here.stop(counter.process_id)
    with pytest.raises(NoSuchProcessError):
        await here.start(Counter, link=counter.process_id)
    assert here.processes() == []


async def test_a_failed_start_takes_nobody_along(here: Host) -> None:
    """Who starts a linked process that fails at once gets the error, and lives on."""
    log: list[Any] = []
    watching = await here.start(make_watching(log))
    with pytest.raises(LookupError, match="not today"):
        await watching.start_other("started")
    failing = await watching.start_other("stopping")
    monitor = watch(here, watching)
    await here.stop(failing.process_id)
    assert (await monitor).reason is EndReason.LINKED
