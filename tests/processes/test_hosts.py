"""Hosts start, name, list and stop processes, here and for each other."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from foundation.core.identity import NodeId
from foundation.errors import (
    AlreadyRunningError,
    ArgumentError,
    NameTakenError,
    NoSuchProcessError,
    NotDelivered,
    ProcessDefinitionError,
    RemoteError,
    UnknownProcessClassError,
)
from foundation.processes.agent import agent_of
from foundation.processes.calling.verbs import options
from foundation.processes.decorators import concurrent
from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from foundation.processes.spec import spec
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.samples import Counter
from tests.processes.waiting import until


class Life:
    """What happened to a process."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()


def make_alive(life: Life, *, starts: Any = None, wait_at: str = "") -> Any:
    """Make a class that logs its life, raises ``starts`` when it starts, and waits at one of its hooks."""

    async def at(where: str) -> None:
        life.log.append(where)
        if where == wait_at:
            life.entered.set()
            await life.go_on.wait()
            life.log.append(f"{where} done")

    class Alive(Process):
        async def started(self) -> None:
            await at("started")
            if starts is not None:
                raise starts

        async def work(self) -> str:
            await at("work")
            return "worked"

        async def stop_me(self, agent: Any) -> None:
            await agent.stop(self.process_id, "myself")

        async def stopping(self, reason: str) -> None:
            await at(f"stopping: {reason}")

    return Alive


async def test_a_life(here: Host, target: Host) -> None:
    """`started` runs before the first message and `stopping` after the last, with the reason."""
    life = Life()
    alive = await here.start_on(target.node_id, make_alive(life))
    assert await alive.work() == "worked"
    await here.stop(alive.process_id, "enough")
    assert life.log == ["started", "work", "stopping: enough"]
    assert target.processes() == []


@pytest.mark.parametrize("error", [KeyError("no"), ValueError("broken")])
async def test_an_error_of_started_fails_the_start(error: Exception, here: Host, target: Host) -> None:
    """When `started` raises, the start raises that, and nothing is left of the process or its name."""
    life = Life()
    with pytest.raises(type(error)):
        await here.start_on(target.node_id, make_alive(life, starts=error), name="alive")
    assert target.processes() == []
    assert target.known("alive") is None
    assert life.log == ["started"]


async def test_an_exit_in_started_does_not_end_the_node(here: Host) -> None:
    """SystemExit in a hook is an error of that process, and of nobody else."""
    with pytest.raises(RuntimeError, match="raised SystemExit"):
        await here.start(make_alive(Life(), starts=SystemExit(1)))
    assert await (await here.start(Counter)).add(1) == 1


async def test_an_error_of_the_constructor_fails_the_start(here: Host, target: Host) -> None:
    """When the constructor raises, the start raises that."""

    class Picky(Process):
        def __init__(self, n: int) -> None:
            if n < 0:
                message = f"too small: {n}"
                raise ValueError(message)

    with pytest.raises(ValueError, match="too small: -1"):
        await here.start_on(target.node_id, Picky, (-1,), name="picky")
    assert target.known("picky") is None


async def test_a_cancelled_start_leaves_nothing(here: Host, target: Host) -> None:
    """Who gives up starting a process leaves no half-started one behind."""
    life = Life()
    async with asyncio.TaskGroup() as group:
        start = group.create_task(here.start_on(target.node_id, make_alive(life, wait_at="started"), name="slow"))
        await life.entered.wait()
        start.cancel()
    await until(lambda: not target.processes(), "the process is gone")
    assert target.known("slow") is None


async def test_a_slow_start_blocks_nobody(here: Host, there: Host) -> None:
    """While one process is starting on a node others can be started and found there, also by that process."""
    life = Life()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(here.start_on(there.node_id, make_alive(life, wait_at="started")))
        await life.entered.wait()
        counter = await here.start_on(there.node_id, Counter, name="counter")
        assert await counter.add(1) == 1
        life.go_on.set()
        assert await (await slow).work() == "worked"


async def test_nothing_is_handled_before_started(here: Host, target: Host) -> None:
    """Calls, concurrent calls and streams that arrive while `started` runs wait until it is through."""
    life = Life()
    early: list[Any] = []

    class Early(Process):
        async def started(self) -> None:
            early.append(self.reference)
            life.entered.set()
            await life.go_on.wait()
            life.log.append("started")

        async def call(self) -> None:
            life.log.append("call")

        @concurrent
        async def aside(self) -> None:
            life.log.append("aside")

        async def stream(self) -> AsyncIterator[int]:
            life.log.append("stream")
            yield 1

    async with asyncio.TaskGroup() as group:
        group.create_task(here.start_on(target.node_id, Early))
        await life.entered.wait()
        calls = [group.create_task(early[0].call()), group.create_task(early[0].aside())]
        calls.append(group.create_task(_outcome(anext(early[0].stream()))))
        await until(lambda: target.processes()[0].mailbox_length == 3, "all three wait")
        life.go_on.set()
    assert calls[2].result() == 1
    assert life.log[0] == "started"
    assert sorted(life.log[1:]) == ["aside", "call", "stream"]


async def test_stopping_finishes_the_current_message(here: Host, target: Host) -> None:
    """A stop lets the message in hand finish, refuses those that wait as not delivered, then runs `stopping`."""
    life = Life()
    alive = await here.start_on(target.node_id, make_alive(life, wait_at="work"))
    async with asyncio.TaskGroup() as group:
        current = group.create_task(alive.work())
        await life.entered.wait()
        waiting = group.create_task(_outcome(alive.work()))
        await until(lambda: target.processes()[0].mailbox_length == 1, "one message waits")
        stop = group.create_task(here.stop(alive.process_id, "enough"))
        assert isinstance(await waiting, NotDelivered)
        assert isinstance(await _outcome(alive.work()), NotDelivered)
        life.go_on.set()
        await stop
    assert current.result() == "worked"
    assert life.log == ["started", "work", "work done", "stopping: enough"]


async def _outcome(call: Any) -> Any:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error


@pytest.mark.parametrize("where", ["work", "stopping: enough"])
async def test_stopping_has_a_time_limit(
    where: str, start_host: StartHost, here: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that does not finish in time is cancelled; its caller learns that it was stopped."""
    life = Life()
    there = await start_host(ProcessOptions(stop_timeout_s=0.02))
    alive = await here.start_on(there.node_id, make_alive(life, wait_at=where))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(_outcome(alive.work()))
        await until(lambda: "work" in life.log, "it works")
        await here.stop(alive.process_id, "enough")
    outcome = await call
    assert outcome == "worked" if where != "work" else isinstance(outcome, RemoteError)
    assert there.processes() == []
    assert "did not stop within" in caplog.text


async def test_a_process_can_have_itself_stopped(start_host: StartHost, here: Host) -> None:
    """A handler that waits for its own stop is ended by the time limit, not by a deadlock."""
    there = await start_host(ProcessOptions(stop_timeout_s=0.02))
    life = Life()
    alive = await here.start_on(there.node_id, make_alive(life))
    assert isinstance(await _outcome(alive.stop_me(here.agent(there.node_id))), RemoteError)
    await until(lambda: not there.processes(), "it is gone")


async def test_errors_in_stopping_are_logged(here: Host, caplog: pytest.LogCaptureFixture) -> None:
    """An error in `stopping` is logged, and the process is gone all the same."""

    class Bad(Process):
        async def stopping(self, reason: str) -> None:
            raise KeyError(reason)

    bad = await here.start(Bad, name="bad")
    await here.stop(bad.process_id, "enough")
    assert here.processes() == []
    assert "Bad bad failed in `stopping`" in caplog.text


async def test_the_end_of_a_host_stops_its_processes(start_host: StartHost, network: Network) -> None:
    """Leaving a host runs `stopping` of all its processes, and ends what its callers wait for."""
    host = await start_host()
    lives = [Life() for _ in range(5)]
    for life in lives:
        await host.start(make_alive(life))
    await host.__aexit__(None, None, None)
    assert all(life.log == ["started", "stopping: the node stops"] for life in lives)
    network.members.discard(host.node_id)


async def test_a_host_runs_once(here: Host) -> None:
    """A host that runs cannot be entered again."""
    with pytest.raises(AlreadyRunningError):
        await here.__aenter__()


async def test_names_are_unique_on_a_host(here: Host, target: Host) -> None:
    """A name has one owner on a host, and is free again when its owner is gone."""
    first = await here.start_on(target.node_id, Counter, name="counter")
    with pytest.raises(NameTakenError, match="'counter' belongs to"):
        await here.start_on(target.node_id, Counter, name="counter")
    assert target.known("counter") == first.process_id
    await here.stop(first.process_id)
    second = await here.start_on(target.node_id, Counter, name="counter")
    assert second != first


async def test_identities_are_never_used_twice(here: Host) -> None:
    """A reference to a process that is gone never reaches another one."""
    first = await here.start(Counter)
    await here.stop(first.process_id)
    second = await here.start(Counter)
    assert first != second
    with pytest.raises(NoSuchProcessError):
        await first.add(1)


async def test_the_agent_lists_and_stops(here: Host, there: Host) -> None:
    """Another node's processes can be listed and stopped through its agent, which itself cannot be stopped."""
    agent = here.agent(there.node_id)
    counter = await here.start_on(there.node_id, Counter, name="counter")
    await counter.add(1)
    (info,) = await agent.processes()
    assert (info.process_id, info.name, info.wire_name) == (
        counter.process_id,
        "counter",
        "tests.processes.samples:Counter",
    )
    assert (info.mailbox_length, info.handled) == (0, 1)
    await agent.stop(counter.process_id, "enough")
    assert await agent.processes() == []
    for victim in (counter.process_id, agent_of(there.node_id)):
        with pytest.raises(NoSuchProcessError):
            await there.stop(victim)
        with pytest.raises(RemoteError, match="NoSuchProcessError"):
            await agent.stop(victim, "again")


async def test_unknown_classes_are_not_imported(here: Host, there: Host) -> None:
    """A node starts only classes that its program has imported, and says which it knows."""
    with pytest.raises(UnknownProcessClassError, match="the one agent"):
        await here.agent(there.node_id).start("foundation:agent", b"\x91\x00", {}, None)
    with pytest.raises(UnknownProcessClassError, match=r"'turtle:Turtle'.*tests\.processes\.samples:Counter"):
        await here.agent(there.node_id).start("turtle:Turtle", b"\x90", {}, None)


async def test_arguments_from_strangers_are_checked(here: Host, there: Host) -> None:
    """A node that sends wrong constructor arguments past the caller's check is refused."""
    agent = here.agent(there.node_id)
    for arguments in (b"\x91\xa1x", b"", b"\xc0", b"\x92\x01\x02"):
        with pytest.raises(ArgumentError):
            await agent.start("tests.processes.samples:Counter", arguments, {}, None)
    with pytest.raises(ArgumentError):
        await agent.start("tests.processes.samples:Counter", b"\x90", {"x": b"\x01"}, None)
    assert there.processes() == []


async def test_only_processes_are_started(here: Host) -> None:
    """What is no process class is refused by name."""
    with pytest.raises(ProcessDefinitionError, match="Life"):
        await here.start(Life)


async def test_stop_elsewhere(here: Host, there: Host) -> None:
    """A process can be stopped from any node, by its identity."""
    counter = await here.start(Counter)
    await there.stop(counter.process_id, "from afar")
    assert here.processes() == []


async def test_specs_describe(here: Host) -> None:
    """A spec carries class, arguments and keywords."""
    described = spec(Counter, start=5)
    counter = await here.start(Counter, described.args, described.kwargs)
    assert await counter.add(1) == 6


async def test_processes_start_with_a_clean_context(here: Host, there: Host) -> None:
    """Context variables of whoever starts or calls a process do not reach it, near as far."""
    variable = contextvars.ContextVar("variable", default="clean")

    class Looks(Process):
        async def started(self) -> None:
            self.first = variable.get()

        async def look(self) -> list[str]:
            return [self.first, variable.get()]

    variable.set("dirty")
    for host in (here, there):
        looks = await here.start_on(host.node_id, Looks)
        assert await looks.look() == ["clean", "clean"]


async def test_starting_where_nobody_is(here: Host) -> None:
    """A start on a node that is no member is surely not executed."""
    with pytest.raises(NotDelivered):
        await here.start_on(NodeId("f" * 32), Counter)


async def test_thousands_of_processes(start_host: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """Many processes on one host start, answer and stop without a word in the log."""
    caplog.set_level(logging.INFO)
    here = await start_host(ProcessOptions(slow_handler_s=None))  # the machine may be slow
    counters = [await here.start(Counter, (n,)) for n in range(2_000)]
    assert [await counter.add(1) for counter in counters] == list(range(1, 2_001))
    assert here.process_count == 2_000
    await asyncio.gather(*(here.stop(counter.process_id) for counter in counters))
    assert here.processes() == []
    assert caplog.records == []


async def test_options_reach_the_agent(here: Host, there: Host) -> None:
    """The agent is a process like any other: options apply to its calls."""
    agent = options(here.agent(there.node_id), timeout_s=1.0)
    assert await agent.processes() == []
