"""Time, turns and tasks of simulated hosts: virtual, repeatable, and otherwise as asyncio has them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from foundation.core.sources import chance, clock, new_node_id
from foundation.errors import RunningLoopError
from foundation.testing.errors import HostKilledError, NotSimulatedError, SimulationError, StuckError
from foundation.testing.simulation import Simulation

T = TypeVar("T")

HOUR_S = 3600.0


def test_hours_pass_in_milliseconds() -> None:
    """A sleep takes virtual time alone, at every host."""
    sim = Simulation(1)
    hosts = [sim.host(f"host{number}") for number in range(5)]

    async def nap(hours: int) -> float:
        began = clock().now()
        await asyncio.sleep(hours * HOUR_S)
        return clock().now() - began

    async def story() -> list[float]:
        return await asyncio.gather(*(host.run(nap, number) for number, host in enumerate(hosts)))

    began = time.monotonic()
    assert sim.run(story) == [number * HOUR_S for number in range(5)]
    assert sim.now == 4 * HOUR_S
    assert time.monotonic() - began < 5


async def _chatter(sim: Simulation, rounds: int) -> None:
    """What depends on turns, chance, and the order of tasks in sets."""

    async def one(number: int) -> None:
        for turn in range(rounds):
            sim.note(f"{number} {turn} {chance().random():.6f}")
            await asyncio.sleep(chance().choice((0, 0, 0.001, 0.5)))
        if number == 3:
            message = "enough"
            raise ValueError(message)
        try:
            await asyncio.sleep(HOUR_S)
        finally:
            sim.note(f"{number} cancelled")

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(one(number))

    with pytest.raises(ExceptionGroup):
        await all_of_them()


def chat(seed: int) -> Simulation:
    sim = Simulation(seed)
    hosts = [sim.host(name) for name in ("anne", "bob", "carl")]

    async def story() -> None:
        await asyncio.gather(*(host.run(_chatter, sim, 5) for host in hosts))

    sim.run(story)
    return sim


def test_a_seed_stands_for_one_run() -> None:
    """The same seed gives the same events in the same order, and others give others."""
    first, again, other = chat(7), chat(7), chat(8)
    assert first.transcript.events == again.transcript.events
    assert first.transcript.digest() == again.transcript.digest() != other.transcript.digest()


def test_a_run_is_repeated_in_another_program() -> None:
    """With PYTHONHASHSEED=0 another program gets the same run from the seed."""
    code = "from tests.testing.test_scheduler import chat; print(chat(7).transcript.digest())"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == chat(7).transcript.digest()


def test_hosts_take_turns_as_the_seed_says() -> None:
    """Which of several ready hosts goes on is drawn from the seed, or is the next in turn."""

    def turns(sim: Simulation) -> list[str]:
        seen: list[str] = []

        async def talk(name: str) -> None:
            for _ in range(4):
                seen.append(name)
                await asyncio.sleep(0)

        async def story() -> None:
            await asyncio.gather(*(sim.host(name).run(talk, name) for name in ("a", "b", "c")))

        sim.run(story)
        return seen

    assert len({tuple(turns(Simulation(seed))) for seed in range(10)}) > 5
    assert turns(Simulation(1, order="fifo")) == turns(Simulation(2, order="fifo"))


def run_at(sim: Simulation, program: Callable[[], Coroutine[Any, Any, T]]) -> T:
    async def story() -> T:
        return await sim.host("anne").run(program)

    return sim.run(story)


def test_time_limits_work_as_always() -> None:
    """A time limit ends what takes longer, at the virtual second."""
    sim = Simulation(2)

    async def program() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 2)

    run_at(sim, program)
    assert sim.now == 5 + 2


def test_groups_and_waits_work_as_always() -> None:
    """A group waits for all it started, and a wait tells what is done."""
    sim = Simulation(2)

    async def program() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(delay, delay)) for delay in (3, 1, 2)]
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            assert [task.result() for task in done] == [1]
            assert len(late) == 2

    run_at(sim, program)
    assert sim.now == 3


def test_generators_and_queues_work_as_always() -> None:
    """A generator that is left is closed by the loop that ran it, and a queue wakes who waits."""
    sim = Simulation(2)

    async def numbers() -> AsyncGenerator[int]:
        try:
            for number in range(10):
                yield number
                await asyncio.sleep(1)
        finally:
            sim.note("generator closed")

    async def program() -> None:
        async for number in numbers():
            if number == 3:
                break
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        asyncio.get_running_loop().call_later(1, queue.put_nowait, 5)
        assert await queue.get() == 5

    run_at(sim, program)
    assert sim.now == 3 + 1
    assert (3, "anne", "generator closed") in sim.transcript.events


def test_threads_run_inline() -> None:
    """What goes to a thread is done in a turn of the loop, and its result or error comes back."""

    async def program() -> str:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread("{}{}".format, "thr", "ead")

    assert run_at(Simulation(2), program) == "thread"


def test_a_paused_host_finds_that_time_has_passed() -> None:
    """Nothing runs at a paused host; when it is resumed its clock has moved and what was due happens."""
    sim = Simulation(3)
    anne = sim.host("anne")
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(sim.now)

    async def story() -> None:
        anne.run(tick)
        await asyncio.sleep(2.5)
        anne.pause()
        await asyncio.sleep(100)
        anne.resume()
        await asyncio.sleep(1.2)

    sim.run(story)
    assert ticks == [1, 2, 102.5, 103.5]


def test_nothing_of_a_killed_host_runs_again() -> None:
    """A kill runs no cleaning up, whoever waits is told, and a restarted host begins afresh."""
    sim = Simulation(4)
    anne = sim.host("anne")
    seen: list[str] = []

    async def program(name: str) -> str:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append(f"{name} cleaned up")
        return name

    async def story() -> None:
        first = anne.run(program, "first")
        await asyncio.sleep(1)
        anne.kill()
        with pytest.raises(HostKilledError):
            await first
        with pytest.raises(HostKilledError):
            anne.run(program, "between")
        await asyncio.sleep(20)
        assert not seen
        assert await anne.restart(program, "second") == "second"
        assert seen == ["second cleaned up"]

    sim.run(story)


def test_wall_clocks_differ_and_steady_ones_do_not() -> None:
    """A skew moves the wall clock of one host alone, and chance differs from host to host."""
    sim = Simulation(5)
    early, late = sim.host("early"), sim.host("late", skew_s=-60)

    async def look() -> tuple[float, float, str]:
        return clock().wall(), clock().now(), new_node_id()

    async def story() -> None:
        one, other = await early.run(look), await late.run(look)
        assert one[0] - other[0] == 60
        assert one[1] == other[1]
        assert one[2] != other[2]
        late.skew_s = 5
        assert (await late.run(look))[0] - one[0] == 5

    sim.run(story)


def test_a_run_in_which_nothing_moves_says_who_waits_for_what() -> None:
    """When nothing is left to do, when time is up, and when something spins, the error shows where each task waits."""

    async def wait_for_godot() -> None:
        await asyncio.Event().wait()

    async def tick() -> None:
        for second in itertools.count(1):
            await asyncio.sleep(second)

    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    def report(program: object) -> str:
        sim = Simulation(6)

        async def story() -> None:
            await sim.host("vladimir").run(program)  # type: ignore[arg-type]

        with pytest.raises(StuckError) as caught:
            sim.run(story, limit_s=100, limit_turns=10_000)
        return str(caught.value)

    deadlock = report(wait_for_godot)
    assert "nothing is left to do" in deadlock
    assert "vladimir (running, 0 ready)" in deadlock
    assert "wait_for_godot" in deadlock
    assert "Event.wait (locks.py:" in deadlock
    assert "lab (running" in deadlock
    assert "100 s of virtual time were not enough" in report(tick)
    assert "10000 turns were not enough" in report(spin)


def test_errors_travel_and_none_is_lost() -> None:
    """What fails at a host fails in the story that awaits it; what nobody awaits fails the run in the end."""

    async def fail() -> None:
        message = "out of coffee"
        raise ValueError(message)

    async def awaits(sim: Simulation) -> None:
        with pytest.raises(ValueError, match="coffee"):
            await sim.host("anne").run(fail)

    async def forgets(sim: Simulation) -> None:
        sim.host("anne").run(fail)
        await asyncio.sleep(1)

    sim = Simulation(7)
    sim.run(awaits, sim)
    with pytest.raises(SimulationError, match="once"):
        sim.run(awaits, sim)
    sim = Simulation(7)
    with pytest.raises(SimulationError, match="coffee"):
        sim.run(forgets, sim)


def test_a_cancelled_wait_cancels_what_it_waits_for() -> None:
    """A time limit in the story ends what runs at the host."""
    sim = Simulation(8)
    seen: list[str] = []

    async def sleeper() -> None:
        try:
            await asyncio.sleep(HOUR_S)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def story() -> None:
        task = sim.host("anne").run(sleeper)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 5)
        await asyncio.sleep(1)
        assert seen == ["cancelled"]
        assert task.done()

    sim.run(story)


def test_what_is_not_simulated_says_so() -> None:
    """Signals, readers, UDP and subprocesses are refused by name; literal addresses are looked up."""
    sim = Simulation(9)

    async def program() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotSimulatedError, match="signals"):
            loop.add_signal_handler(15, print)
        with pytest.raises(NotSimulatedError, match="subprocesses"):
            await asyncio.create_subprocess_exec("true")
        with pytest.raises(NotImplementedError, match="UDP"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("10.0.0.1", 5))
        assert (await loop.getaddrinfo("10.0.0.9", 80))[0][4] == ("10.0.0.9", 80)

    async def story() -> None:
        await sim.host("anne").run(program)

    sim.run(story)


async def test_a_simulation_is_not_run_inside_a_loop() -> None:
    """Where an event loop runs already, the simulation says so at once."""

    async def story() -> None:
        """Nothing."""

    with pytest.raises(RunningLoopError):
        Simulation(10).run(story)


def test_finalizers_run_at_quiet_points() -> None:
    """Tasks in circles of references are collected during a long run, and at moments that the seed fixes."""
    collected: list[int] = []

    class Circle:
        def __init__(self, sim: Simulation) -> None:
            self.me, self.sim = self, sim

        def __del__(self) -> None:
            collected.append(self.sim.turns)

    def collect() -> list[int]:
        gc.collect()  # what the run before left behind
        collected.clear()
        sim = Simulation(11)

        async def program() -> None:
            for _ in range(30_000):
                Circle(sim)
                await asyncio.sleep(0.001)

        async def story() -> None:
            await sim.host("anne").run(program)

        sim.run(story)
        return list(collected)

    first = collect()
    assert len(first) > 10_000
    assert collect()[: len(first)] == first
