"""Plain methods that run in threads: beside the loop, in the order of the mailbox, and in nobody's way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from foundation.core.context import call_context
from foundation.errors import CallTimeout, ProcessDefinitionError, RemoteError
from foundation.processes.calling.verbs import cast, options
from foundation.processes.decorators import concurrent, offload
from foundation.processes.host import Host
from foundation.processes.offloading.threads import DaemonThreads
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from tests.processes.conftest import StartHost
from tests.programs import Playground, playground
from tests.waiting import eventually, turns

_PATIENCE_S = 10.0


class Bolt:
    """Holds threads until it is opened."""

    def __init__(self) -> None:
        self.held = 0
        self.log: list[Any] = []
        self._open = threading.Event()

    def wait(self) -> None:
        self.held += 1
        assert self._open.wait(_PATIENCE_S), "nobody opened the bolt"
        self.log.append("through")

    def open(self) -> None:
        self._open.set()


def make_worker(bolt: Bolt) -> type[Any]:  # noqa: C901 - one class that can do all
    class Worker(Process):
        def __init__(self) -> None:
            self.value = 0

        @offload
        def work(self, n: int = 1) -> int:
            bolt.wait()
            self.value += n
            return self.value

        @concurrent
        @offload
        def aside(self) -> str:
            bolt.wait()
            return threading.current_thread().name

        @offload(to="thread")
        @concurrent
        def aside_too(self) -> None:
            bolt.wait()

        @offload
        def quick(self, *numbers: int, factor: int = 1) -> int:
            return sum(numbers) * factor

        @offload
        def fail(self, error_type: str) -> None:
            raise {"value": ValueError("wrong"), "stop": StopIteration("x"), "exit": SystemExit(3)}[error_type]

        @offload
        def left_s(self) -> bool:
            return call_context.get().deadline is not None

        async def note(self, what: str) -> int:
            bolt.log.append(what)
            return self.value

        async def patient(self) -> str:
            try:
                async with asyncio.timeout(0.01):
                    await self._hidden()
            except TimeoutError:
                bolt.log.append("too late")
            return "done"

        @offload
        def _hidden(self) -> None:
            bolt.wait()

        async def stopping(self, reason: str) -> None:
            bolt.log.append(reason)

    return Worker


@pytest.fixture
def bolt() -> Any:
    made = Bolt()
    yield made
    made.open()


async def test_the_loop_goes_on(here: Host, target: Host, bolt: Bolt) -> None:
    """While an offloaded method works the loop and other processes go on; its result arrives like any other."""
    worker, other = [await here.start_on(target.node_id, make_worker(bolt)) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        call = group.create_task(worker.work(2))
        await eventually(lambda: bolt.held == 1)
        assert await other.note("meanwhile") == 0
        bolt.open()
    assert call.result() == 2
    assert await worker.quick(1, 2, factor=3) == 9
    assert bolt.log == ["meanwhile", "through"]


async def test_the_order_of_the_mailbox_holds(here: Host, target: Host, bolt: Bolt) -> None:
    """The next message is not handled before the thread has done its work."""
    worker = await here.start_on(target.node_id, make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.work())
        await eventually(lambda: bolt.held == 1)
        after = group.create_task(worker.note("after"))
        await eventually(lambda: target.processes()[0].mailbox_length == 1)
        bolt.open()
    assert after.result() == 1
    assert bolt.log == ["through", "after"]


async def test_casts_are_offloaded_too(here: Host, target: Host, bolt: Bolt) -> None:
    """A cast runs in a thread like a call."""
    bolt.open()
    worker = await here.start_on(target.node_id, make_worker(bolt))
    await cast(worker.work, 3)
    assert await worker.note("after") == 3


async def test_concurrent_ones_run_beside(here: Host, target: Host, bolt: Bolt) -> None:
    """Marked concurrent as well, in either order, offloaded methods run beside the mailbox and beside each other."""
    worker = await here.start_on(target.node_id, make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(worker.aside()), group.create_task(worker.aside())]
        group.create_task(worker.aside_too())
        await eventually(lambda: bolt.held == 3)
        assert await worker.note("meanwhile") == 0
        bolt.open()
    assert len({call.result() for call in calls}) == 2


@pytest.mark.parametrize(("kind", "expected"), [("value", ValueError), ("stop", RuntimeError), ("exit", RemoteError)])
async def test_errors_travel(kind: str, expected: type[Exception], here: Host, target: Host, bolt: Bolt) -> None:
    """What an offloaded method raises arrives as if it had been raised in an async one, with its traceback."""
    worker = await here.start_on(target.node_id, make_worker(bolt))
    with pytest.raises(expected) as caught:
        await worker.fail(kind)
    remote = caught.value if expected is RemoteError else caught.value.__cause__
    assert isinstance(remote, RemoteError)
    assert "in fail" in remote.remote_traceback
    assert await worker.quick(1) == 1


async def test_the_context_is_copied(here: Host, target: Host, bolt: Bolt) -> None:
    """The thread has the context variables of its handler, the deadline of the call among them."""
    worker = await here.start_on(target.node_id, make_worker(bolt))
    assert await worker.left_s()
    assert not await options(worker, timeout_s=None).left_s()


@pytest.mark.parametrize("how", ["cancelled", "too late"])
async def test_the_caller_goes_on_at_once(how: str, here: Host, target: Host, bolt: Bolt) -> None:
    """A caller that cancels, or whose time is up, waits for no thread; the next message does."""
    worker = await here.start_on(target.node_id, make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        limited = options(worker, timeout_s=0.02 if how == "too late" else None)
        call = group.create_task(_outcome(limited.work()))
        await eventually(lambda: bolt.held == 1)
        if how == "cancelled":
            call.cancel()
        await asyncio.wait([call], timeout=_PATIENCE_S)
        assert call.cancelled() if how == "cancelled" else isinstance(call.result(), CallTimeout)
        after = group.create_task(worker.note("after"))
        await eventually(lambda: target.processes()[0].mailbox_length == 1)
        await turns()
        assert bolt.log == []
        bolt.open()
    assert after.result() == 1
    assert bolt.log == ["through", "after"]


async def test_what_is_cancelled_before_it_began_never_runs(start_host: StartHost, here: Host, bolt: Bolt) -> None:
    """A function that still waits for a thread when its call is cancelled is not run."""
    there = await start_host(ProcessOptions(offload_threads=1))
    busy, waits = [await here.start_on(there.node_id, make_worker(bolt)) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        group.create_task(busy.aside())
        await eventually(lambda: bolt.held == 1)
        calls = [group.create_task(waits.work()), group.create_task(waits.aside())]
        await eventually(lambda: there._workers.threads.unfinished == 3)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert await waits.note("free") == 0
        bolt.open()
    await eventually(lambda: there._workers.threads.unfinished == 0)
    assert bolt.held == 1


async def test_a_timeout_within_a_handler_waits_for_the_thread(here: Host, bolt: Bolt) -> None:
    """A time limit around an offloaded part of a handler holds, but not before the thread has let go of the state."""
    worker = await here.start(make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(worker.patient())
        await eventually(lambda: bolt.held == 1)
        await asyncio.wait([call], timeout=0.02)
        assert not call.done()
        bolt.open()
    assert call.result() == "done"
    assert bolt.log == ["through", "too late"]


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_stop_does_not_wait_for_a_stuck_thread(
    cancelled: bool, start_host: StartHost, here: Host, bolt: Bolt
) -> None:
    """A process stops within its time limit, whether its caller still waits for the thread or has given up."""
    there = await start_host(ProcessOptions(stop_timeout_s=0.02))
    worker = await here.start_on(there.node_id, make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(_outcome(options(worker, timeout_s=None).work()))
        await eventually(lambda: bolt.held == 1)
        if cancelled:
            call.cancel()
            await asyncio.wait([call])
        await here.stop(worker.process_id, "enough")
    assert there.processes() == []
    assert cancelled or isinstance(call.result(), RemoteError)


async def test_the_end_of_a_node_does_not_wait_for_a_stuck_thread(
    start_host: StartHost, here: Host, bolt: Bolt, caplog: pytest.LogCaptureFixture
) -> None:
    """A host ends although a thread of it does not, and says so."""
    there = await start_host(ProcessOptions(stop_timeout_s=0.02))
    worker = await here.start_on(there.node_id, make_worker(bolt))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(_outcome(worker.work()))
        await eventually(lambda: bolt.held == 1)
        await there.__aexit__(None, None, None)
        here.node_down(there.node_id)
    assert isinstance(call.result(), Exception)
    assert "1 offloaded functions run on" in caplog.text


async def test_a_program_ends_in_spite_of_a_stuck_thread() -> None:
    """A function that never returns keeps Python from nothing."""
    async with playground() as ground:
        code = (
            "import asyncio, threading\n"
            "from foundation.processes.offloading.workers import run_in_thread\n"
            "async def main():\n"
            "    await asyncio.wait_for(run_in_thread(threading.Event().wait, let_go=True), 0.1)\n"
            "try:\n"
            "    asyncio.run(main())\n"
            "except TimeoutError:\n"
            "    print('gave up')\n"
        )
        async with await _start(ground, code) as program:
            await program.line("gave up")
            assert await program.end() == 0


async def test_a_plain_object_works_without_a_node(bolt: Bolt) -> None:
    """Outside of a node an offloaded method can be awaited too, as a unit test does."""
    bolt.open()
    worker = make_worker(bolt)()
    assert await worker.work(3) == 3
    assert worker.value == 3


def test_only_plain_functions_are_offloaded() -> None:
    """What is async or a generator is refused, and so is a static method inside out."""

    async def already(_: object) -> None: ...

    def many(_: object) -> Any:
        yield 1

    async def stream(_: object) -> Any:
        yield 1

    refused: list[Any] = [already, many, stream, staticmethod(already), classmethod(already)]
    for wrong in refused:
        with pytest.raises(ProcessDefinitionError, match="@offload"):
            offload(wrong)


async def test_the_pool_is_bounded_and_grows_as_needed() -> None:
    """A thread is started when none is free, up to the limit; the others wait their turn."""
    bolt = Bolt()
    threads = DaemonThreads(2, "test")
    assert threads.submit(int, "3").result(_PATIENCE_S) == 3
    await eventually(lambda: threads.unfinished == 0)
    waiting = [threads.submit(bolt.wait) for _ in range(4)]
    await eventually(lambda: bolt.held == 2)
    assert (len(threads._threads), threads.unfinished) == (2, 4)
    threads.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in waiting] == [False, False, True, True]
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(int)
    bolt.open()
    threads.shutdown()
    assert not any(thread.is_alive() for thread in threads._threads)


async def _outcome(call: Any) -> Any:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error


async def _start(ground: Playground, code: str) -> Any:
    return await ground.start(code)
