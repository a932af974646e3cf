"""Timers of processes, in simulated time: when their messages come, how many wait, and that they move along."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

import foundation
from foundation import Process, concurrent
from foundation.cluster import Cluster
from foundation.distribution import Placement
from foundation.errors import ArgumentError, Overloaded
from foundation.processes import ProcessOptions
from foundation.testing import SimulatedCluster, simulate


@dataclass
class Tick:
    word: str


def now() -> float:
    return asyncio.get_running_loop().time()


class Clock(Process, wire_name="timers.Clock"):
    """Notes when its messages come."""

    def __init__(self, period_s: float = 0) -> None:
        self._began = now()
        self._seen: list[tuple[float, str]] = []
        self._timers: dict[str, Any] = {}
        self._period_s = period_s
        self._busy = asyncio.Event()

    async def started(self) -> None:
        if self._period_s:
            self._timers["beat"] = self.every(self._period_s, Tick("beat"))

    async def handle_message(self, message: Tick) -> None:
        self._seen.append((round(now() - self._began, 3), message.word))

    async def after(self, delay_s: float, word: str) -> None:
        self._timers[word] = self.send_after(delay_s, Tick(word))

    async def each(self, period_s: float, word: str) -> None:
        self._timers[word] = self.every(period_s, Tick(word))

    async def cancel(self, word: str) -> None:
        self._timers[word].cancel()

    async def hold(self, for_s: float) -> None:
        await asyncio.sleep(for_s)

    async def hold_and_cancel(self, for_s: float, word: str) -> None:
        await asyncio.sleep(for_s)
        self._timers[word].cancel()

    async def wrong(self) -> list[str]:
        problems: list[str] = []
        for delay_s, message in ((-1.0, Tick("a")), (float("nan"), Tick("a")), (1.0, 3), (1.0, object())):
            try:
                self.send_after(delay_s, message)
            except ArgumentError as error:
                problems.append(str(error))
        with pytest.raises(ArgumentError, match="above 0"):
            self.every(0, Tick("a"))
        return problems

    async def many(self, count: int) -> None:
        for number in range(count):
            self.send_after(1.0, Tick(str(number)))

    @concurrent
    async def seen(self) -> list[tuple[float, str]]:
        return self._seen


class Keeper(Clock, wire_name="timers.Keeper"):
    """Knows its notes at the next node."""

    async def snapshot(self) -> list[tuple[float, str]]:
        return self._seen

    async def restore(self, seen: list[tuple[float, str]]) -> None:
        self._seen = seen


def on_one_node(story: Any, **options: Any) -> Any:
    async def scenario(cluster: SimulatedCluster) -> Any:
        return await cluster.nodes[0].run(story)

    return simulate(scenario, 1, run_timeout_s=600, **options)


def test_messages_come_when_they_are_due() -> None:
    """One comes once, another each period in step with the first, until it is cancelled."""

    async def story(cluster: Cluster) -> list[tuple[float, str]]:
        clock = await cluster.start_process(Clock)
        await clock.after(1.5, "once")
        await clock.after(3, "never")
        await clock.each(1, "each")
        await asyncio.sleep(2.5)
        await clock.cancel("never")
        await asyncio.sleep(1)
        await clock.cancel("each")
        await clock.cancel("each")
        await asyncio.sleep(10)
        return await clock.seen()

    seen = on_one_node(story)
    assert [(round(at, 1), word) for at, word in seen] == [(1.0, "each"), (1.5, "once"), (2.0, "each"), (3.0, "each")]


def test_a_late_process_has_one_message_of_a_timer_waiting() -> None:
    """However long a handler takes, one period's message waits, and the next ones come in step again."""

    async def story(cluster: Cluster) -> list[tuple[float, str]]:
        clock = await cluster.start_process(Clock, 1.0)
        await foundation.options(clock, timeout_s=None).hold(10.5)
        assert (await cluster.processes())[0].mailbox_length <= 1
        await asyncio.sleep(1)
        return await clock.seen()

    assert [round(at, 1) for at, _ in on_one_node(story)] == [10.5, 11.0]


def test_what_was_cancelled_while_it_waited_is_not_handled() -> None:
    """A message that is in the mailbox when its timer is cancelled does not come."""

    async def story(cluster: Cluster) -> list[tuple[float, str]]:
        clock = await cluster.start_process(Clock)
        await clock.after(0.5, "once")
        await clock.hold_and_cancel(1, "once")
        await asyncio.sleep(5)
        return await clock.seen()

    assert on_one_node(story) == []


def test_timers_end_with_their_process() -> None:
    """Nothing is left in the event loop of a process that was stopped, or whose start failed."""

    async def story(cluster: Cluster) -> None:
        clock = await cluster.start_process(Clock, 100.0)
        await clock.after(1_000, "once")
        timers = list(_instance(cluster)._Process__seat.timers._active)
        await cluster.stop_process(clock)
        assert len(timers) == 2
        assert all(timer._handle.cancelled() for timer in timers)

    on_one_node(story)


def _instance(cluster: Cluster) -> Any:
    (running,) = cluster._running.host._all()
    return running._instance


def test_wrong_timers_are_refused_at_once() -> None:
    """A delay that is none, and a message that handle_message does not take."""

    async def story(cluster: Cluster) -> list[str]:
        clock = await cluster.start_process(Clock)
        return await clock.wrong()

    problems = on_one_node(story)
    assert ["seconds" in problem for problem in problems] == [True, True, False, False]
    assert all("Clock.handle_message" in problem for problem in problems[2:])


def test_the_number_of_timers_is_bounded() -> None:
    """One more than the node allows is Overloaded, and the others go on."""

    async def story(cluster: Cluster) -> int:
        clock = await cluster.start_process(Clock)
        await clock.many(10)
        with pytest.raises(Exception, match="10 timers already"):
            await clock.many(1)
        await asyncio.sleep(2)
        await clock.many(10)
        return len(await clock.seen())

    assert issubclass(Overloaded, Exception)
    assert on_one_node(story, processes=ProcessOptions(timer_capacity=10)) == 10


@pytest.mark.parametrize("cls", [Clock, Keeper])
def test_timers_move_with_their_process(cls: type[Clock]) -> None:
    """What is left of a delay and the period go along, once each, with and without a snapshot."""

    async def story(cluster: Cluster, there: str) -> list[tuple[float, str]]:
        clock = await cluster.children.start(cls, 10.0, name="clock", placement=Placement("local"))
        began = now()
        await clock.after(15, "once")
        await asyncio.sleep(4)
        await cluster.migrate(clock, there)
        await asyncio.sleep(began + 39 - now())
        return [(at + 4, word) for at, word in await clock.seen()]

    async def scenario(cluster: SimulatedCluster) -> list[tuple[float, str]]:
        first, second = cluster.nodes
        seen = await first.run(story, second.name)
        assert {info.name for info in await second.run(Cluster.processes)} == {"clock"}
        return seen

    seen = simulate(scenario, 2, run_timeout_s=600)
    assert [(round(at), word) for at, word in seen] == [(10, "beat"), (15, "once"), (20, "beat"), (30, "beat")]


def test_a_message_that_waited_moves_too() -> None:
    """A timer that was due while its process was busy, and came behind the order to move, is handled there."""

    async def story(cluster: Cluster, there: str) -> list[tuple[float, str]]:
        clock = await cluster.children.start(Clock, name="clock", placement=Placement("local"))
        await clock.after(2, "due")
        busy = asyncio.ensure_future(foundation.options(clock, timeout_s=None).hold(3))
        await asyncio.sleep(1)
        await cluster.migrate(clock, there)
        await busy
        await asyncio.sleep(1)
        return await clock.seen()

    async def scenario(cluster: SimulatedCluster) -> list[tuple[float, str]]:
        return await cluster.nodes[0].run(story, cluster.nodes[1].name)

    assert [word for _, word in simulate(scenario, 2, run_timeout_s=600)] == ["due"]
