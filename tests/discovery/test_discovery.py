"""The loop around the strategies: nothing that a strategy does can hurt the node, and discovery only adds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from foundation.core.backoff import Backoff
from foundation.discovery.discovery import Discovery
from foundation.discovery.options import DiscoveryOptions
from foundation.discovery.peers import Announcement, Peer
from foundation.discovery.strategy import DiscoveryStrategy
from foundation.errors import AlreadyRunningError, DiscoveryError
from tests.discovery.announcing import announcement, peer_of

ME = announcement("shop", "192.0.2.1:7001")
OTHER = Peer(("192.0.2.2:7001",))
QUICK = DiscoveryOptions(
    poll_interval_s=0.01,
    start_timeout_s=0.02,
    lookup_timeout_s=0.02,
    stop_timeout_s=0.02,
    grace_s=0.02,
    shortest_gap_s=0.0,
    most_peers=10,
    backoff=Backoff(first_s=0.001, most_s=0.001),
)


class RudeError(BaseException):
    """Not an Exception, as some libraries have them."""


class UnprintableError(Exception):
    """Raises when it is shown."""

    def __str__(self) -> str:
        raise RudeError


class Scripted(DiscoveryStrategy):
    """Do at each lookup what the next function of a script does; the last one again and again."""

    def __init__(self, *script: Callable[[], Any]) -> None:
        self.script = list(script) or [lambda: [OTHER]]
        self.calls: list[str] = []
        self.watch = asyncio.Event()

    async def start(self, announcement: Announcement) -> None:
        self.calls.append(f"start {announcement.name}")

    async def lookup(self) -> Iterable[Peer]:
        self.calls.append("lookup")
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        found: Any = step()
        result: Iterable[Peer] = await found if isinstance(found, Awaitable) else found
        return result

    async def wait_changed(self) -> None:
        await self.watch.wait()
        self.watch.clear()

    async def stop(self) -> None:
        self.calls.append("stop")


class Seen:
    """What was found, and a way to wait for a condition on it."""

    def __init__(self) -> None:
        self.found: list[tuple[str, frozenset[Peer]]] = []
        self.slept: list[float] = []
        self._more = asyncio.Event()

    def __call__(self, strategy: str, peers: frozenset[Peer]) -> None:
        self.found.append((strategy, peers))
        self._more.set()

    def has_found(self, lookups: int) -> bool:
        return len(self.found) == lookups

    async def sleep(self, delay_s: float) -> None:
        """Remember the delay, and let no time pass."""
        self.slept.append(delay_s)
        self._more.set()
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object], what: str, within_s: float = 10.0) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not condition():
            self._more.clear()
            try:
                async with asyncio.timeout_at(min(deadline, loop.time() + 0.05)):
                    await self._more.wait()
            except TimeoutError:
                if loop.time() >= deadline:
                    pytest.fail(f"waited {within_s} s for {what}; last seen: {self.found[-3:]}, {self.slept[-3:]}")


def lines(caplog: pytest.LogCaptureFixture, strategy: str) -> list[str]:
    """Return what a user sees in the log about a strategy."""
    return [
        f"{record.levelname} {record.getMessage()}"
        for record in caplog.records
        if record.levelno >= logging.INFO and f"discovery {strategy}" in record.getMessage()
    ]


@asynccontextmanager
async def running(
    seen: Seen, options: DiscoveryOptions = QUICK, *, fake_time: bool = False, **strategies: DiscoveryStrategy
) -> AsyncGenerator[Discovery, None]:
    """Run the strategies, and check that nothing is left of them afterwards."""
    before = asyncio.all_tasks()
    waiting: dict[str, Any] = {"sleep": seen.sleep} if fake_time else {}
    async with (
        asyncio.timeout(20),
        Discovery(strategies, ME, seen, options, chance=lambda: 0.5, **waiting) as discovery,
    ):
        yield discovery
    assert asyncio.all_tasks() == before


def raising(error: BaseException) -> Callable[[], Any]:
    def step() -> Any:
        raise error

    return step


def halfway() -> Iterable[Peer]:
    yield OTHER
    message = "the second page is missing"
    raise RudeError(message)


async def hanging() -> Iterable[Peer]:
    await asyncio.Event().wait()
    return ()


async def stubborn() -> Iterable[Peer]:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def cancelling_itself() -> Iterable[Peer]:
    raise asyncio.CancelledError


FAILURES: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (raising(OSError("no route")), "OSError: no route"),
    "says why": (raising(DiscoveryError("the folder is gone")), "the folder is gone"),
    "raises over many lines": (raising(ValueError("one\n  two\nthree")), "ValueError: one two three"),
    "raises without words": (raising(KeyError()), "KeyError"),
    "raises what cannot be shown": (raising(UnprintableError()), "UnprintableError"),
    "raises no Exception": (raising(RudeError("boo")), "RudeError: boo"),
    "raises the end of a generator": (raising(GeneratorExit()), "GeneratorExit"),
    "cancels itself": (cancelling_itself, "it cancelled itself"),
    "hangs": (hanging, "no answer within 0.02 s"),
    "ignores its cancellation": (stubborn, "no answer within 0.02 s"),
    "returns nothing": (lambda: None, "TypeError: a lookup must return peers, not NoneType"),
    "returns a text": (lambda: "192.0.2.2:1", "TypeError: a lookup must return peers, not str"),
    "returns texts": (lambda: ["192.0.2.2:1"], "TypeError: a lookup must return peers, not str"),
    "returns a peer without a port": (
        lambda: [Peer(("host",))],
        "the address 'host' cannot be used: the port is missing",
    ),
    "yields and then raises": (halfway, "RudeError: the second page is missing"),
    "returns a million peers": (
        lambda: (Peer((f"host-{number}:1",)) for number in range(1_000_000)),
        "ValueError: a lookup returned more than 10 peers",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_bad_strategy_hurts_nobody(failure: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a strategy does: one line in the log, a status that says why, and the good strategy goes on."""
    caplog.set_level(logging.INFO)
    step, why = FAILURES[failure]
    seen, bad = Seen(), Scripted(step)
    async with running(seen, bad=bad, good=Scripted()) as discovery:
        await seen.until(lambda: discovery.status()["bad"].failures >= 3, "three failures")
        good_before = discovery.status()["good"].lookups
        await seen.until(lambda: discovery.status()["good"].lookups > good_before, "the good one going on")
        status = discovery.status()["bad"]
    assert (status.healthy, status.last_error, status.lookups, status.peers) == (False, why, 0, frozenset())
    assert {strategy for strategy, _ in seen.found} == {"good"}
    assert lines(caplog, "bad") == [f"WARNING discovery bad: the lookup failed ({why}); trying on"]


async def test_recovery_is_logged_once_with_its_count(caplog: pytest.LogCaptureFixture) -> None:
    """A strategy that comes back is used again; the log says so in one line, with the number of failures."""
    caplog.set_level(logging.INFO)
    fails = raising(OSError("down"))
    seen = Seen()
    script = Scripted(lambda: [OTHER], fails, fails, fails, lambda: [OTHER], lambda: [OTHER])
    async with running(seen, flaky=script) as discovery:
        await seen.until(lambda: discovery.status()["flaky"].lookups >= 3, "lookups after the recovery")
        status = discovery.status()["flaky"]
    assert (status.healthy, status.failures, status.last_error) == (True, 0, "OSError: down")
    assert lines(caplog, "flaky") == [
        "WARNING discovery flaky: the lookup failed (OSError: down); trying on",
        "INFO discovery flaky: works again after 3 failures",
    ]


async def test_discovery_only_adds() -> None:
    """A failed lookup is no notice and forgets nobody; an empty one is passed on as it is, not as a loss."""
    seen = Seen()
    script = Scripted(lambda: [OTHER], raising(OSError("down")), hanging)
    async with running(seen, only=script) as discovery:
        await seen.until(lambda: discovery.status()["only"].failures >= 2, "failures")
        assert discovery.status()["only"].peers == {OTHER}
        assert seen.found == [("only", frozenset({OTHER}))]
        script.script = [list]
        await seen.until(lambda: len(seen.found) > 1, "the empty lookup")
    assert seen.found[1] == ("only", frozenset())


async def test_each_lookup_is_reported_without_this_node() -> None:
    """The listener hears of every successful lookup, the same result included, and never of its own node."""
    seen = Seen()
    async with running(seen, one=Scripted(lambda: [peer_of(ME), Peer(ME.addresses), OTHER, OTHER])):
        await seen.until(lambda: len(seen.found) >= 3, "three lookups")
    assert set(seen.found) == {("one", frozenset({OTHER}))}


async def test_failing_listener_is_not_the_strategys_failure(caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises is logged, and the lookups go on."""

    def listener(strategy: str, peers: frozenset[Peer]) -> None:
        del peers
        raise ValueError(strategy)

    seen, good = Seen(), Scripted()
    async with Discovery({"good": good}, ME, listener, QUICK) as discovery:
        await seen.until(lambda: good.calls.count("lookup") >= 3, "three lookups")
        assert discovery.status()["good"].healthy
    assert "discovery good: the listener failed" in caplog.text


async def test_retries_wait_longer_and_longer() -> None:
    """The delays between failures grow as the backoff says, without end, and begin anew after a success."""
    fails = raising(OSError("down"))
    backoff = Backoff(first_s=1.0, most_s=4.0, factor=2.0, jitter=0.5)
    options = DiscoveryOptions(poll_interval_s=10.0, restart_after=100, backoff=backoff)
    seen = Seen()
    async with running(seen, options, fake_time=True, flaky=Scripted(*[fails] * 5, lambda: [OTHER], fails, fails)):
        await seen.until(lambda: len(seen.slept) >= 9, "nine delays")
    gap, rest = options.shortest_gap_s, 5.0 - options.shortest_gap_s
    one, two, three, four, five = (options.backoff.delay_s(failures, 0.5) for failures in range(1, 6))
    assert one < two < three <= four == five
    assert seen.slept[:9] == [one, two, three, four, five, gap, rest, one, two]


async def test_a_retry_comes_no_later_than_a_lookup_would() -> None:
    """So a service that is back is heard of within a period, however long it was away."""
    options = DiscoveryOptions(poll_interval_s=2.0, restart_after=100, backoff=Backoff(first_s=1.0, most_s=60.0))
    seen = Seen()
    async with running(seen, options, fake_time=True, flaky=Scripted(raising(OSError("down")))):
        await seen.until(lambda: len(seen.slept) >= 9, "nine delays")
    assert max(seen.slept) == 2.0


async def test_polls_are_staggered_and_jittered() -> None:
    """The first interval is a random part of a whole one, and a strategy may have an interval of its own."""
    draws = iter([0.25, 1.0, 0.0, *[0.5] * 10_000])
    seen, slow = Seen(), Scripted()
    slow.poll_interval_s = 10.0
    options = DiscoveryOptions(poll_interval_s=1.0, poll_jitter=0.2, shortest_gap_s=0.5)
    async with Discovery({"slow": slow}, ME, seen, options, chance=lambda: next(draws), sleep=seen.sleep):
        await seen.until(lambda: len(seen.slept) >= 6, "six delays")
    assert seen.slept[:6] == [0.5, 2.0, 0.5, 11.5, 0.5, 7.5]


async def test_change_wakes_the_loop() -> None:
    """A watching strategy is looked up at once when it says that something changed, however long the interval."""
    seen, watching = Seen(), Scripted()
    async with running(seen, DiscoveryOptions(poll_interval_s=3600, shortest_gap_s=0.0), watching=watching):
        await seen.until(lambda: len(seen.found) == 1, "the first lookup")
        for lookups in (2, 3):
            watching.watch.set()
            await seen.until(partial(seen.has_found, lookups), "a lookup after the change")


async def test_restless_strategy_does_not_spin() -> None:
    """A strategy that always says that something changed is looked up no more often than the gap allows."""

    class Restless(Scripted):
        async def wait_changed(self) -> None:
            return

    seen = Seen()
    async with running(seen, DiscoveryOptions(shortest_gap_s=0.3), fake_time=True, restless=Restless()):
        await seen.until(lambda: len(seen.found) >= 5, "five lookups")
    gaps = [delay for delay in seen.slept if delay == 0.3]
    assert len(gaps) >= len(seen.found) - 1


@pytest.mark.parametrize(
    "step", [raising(OSError("watch")), cancelling_itself, stubborn], ids=["raises", "cancels", "stubborn"]
)
async def test_bad_watch_hurts_nobody(step: Callable[[], Any]) -> None:
    """A watch that raises is a failure of the strategy; one that cannot be cancelled is abandoned."""

    class Watching(Scripted):
        async def wait_changed(self) -> None:
            found = step()
            if isinstance(found, Awaitable):
                await found

    seen, watching = Seen(), Watching()
    async with running(seen, watching=watching):
        await seen.until(lambda: watching.calls.count("lookup") >= 3, "three lookups")


async def test_strategy_is_restarted_after_some_failures() -> None:
    """A strategy whose lookups keep failing is stopped and started again, and its starts are retried as well."""
    seen, broken = Seen(), Scripted(raising(OSError("down")))
    async with running(seen, DiscoveryOptions(restart_after=2), fake_time=True, broken=broken):
        await seen.until(lambda: broken.calls.count("stop") >= 2, "two restarts")
    one_life = [f"start {ME.name}", "lookup", "lookup", "stop"]
    assert broken.calls[:8] == one_life * 2


@pytest.mark.parametrize("failure", ["raises", "hangs", "ignores its cancellation", "cancels itself"])
async def test_bad_start_is_cleaned_up_and_retried(failure: str, caplog: pytest.LogCaptureFixture) -> None:
    """A start that fails is followed by a stop and tried again; nothing else waits for it."""
    caplog.set_level(logging.INFO)
    step, why = FAILURES[failure]

    class BadStart(Scripted):
        async def start(self, announcement: Announcement) -> None:
            await super().start(announcement)
            if self.calls.count(f"start {ME.name}") <= 2:
                found = step()
                if isinstance(found, Awaitable):
                    await found

    seen, bad = Seen(), BadStart()
    async with running(seen, bad=bad, good=Scripted()) as discovery:
        assert await discovery.first_round(10)
        await seen.until(lambda: discovery.status()["bad"].healthy, "the recovery")
    assert bad.calls[:6] == [f"start {ME.name}", "stop"] * 2 + [f"start {ME.name}", "lookup"]
    assert lines(caplog, "bad") == [
        f"WARNING discovery bad: the start failed ({why}); trying on",
        "INFO discovery bad: works again after 2 failures",
    ]


@pytest.mark.parametrize("failure", ["raises", "raises no Exception", "hangs", "ignores its cancellation"])
async def test_bad_stop_does_not_hold_up_the_end(failure: str) -> None:
    """Leaving says goodbye to every strategy and takes no longer than the time limits, whatever a goodbye does."""
    step, _ = FAILURES[failure]

    class BadStop(Scripted):
        async def stop(self) -> None:
            await super().stop()
            found = step()
            if isinstance(found, Awaitable):
                await found

    seen, bad, good = Seen(), BadStop(), Scripted()
    async with running(seen, bad=bad, good=good) as discovery:
        assert await discovery.first_round(10)
    assert (bad.calls[-1], good.calls[-1]) == ("stop", "stop")


@pytest.mark.parametrize("step", [hanging, stubborn], ids=["hanging", "stubborn"])
async def test_leaving_does_not_wait_for_a_lookup(step: Callable[[], Any]) -> None:
    """A lookup under way is cut off when the node stops, long before its own time limit."""
    seen, slow = Seen(), Scripted(step)
    async with asyncio.timeout(5):
        async with running(seen, DiscoveryOptions(lookup_timeout_s=3600), slow=slow):
            await seen.until(lambda: "lookup" in slow.calls, "the lookup")
    assert slow.calls[-1] == "stop"


async def test_own_task_of_a_strategy_does_not_hold_up_the_end() -> None:
    """Not even a lookup that waits for a task of the strategy's own, which ignores cancellation, blocks the end."""
    release = asyncio.Event()

    async def immortal() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    group: list[asyncio.Task[None]] = []

    async def lookup() -> Iterable[Peer]:
        group.append(asyncio.Task(immortal()))
        await group[-1]
        return ()

    bad = Scripted(lookup)
    discovery = Discovery({"bad": bad}, ME, Seen(), DiscoveryOptions(grace_s=0.02, lookup_timeout_s=3600))
    await discovery.__aenter__()
    await Seen().until(lambda: group, "the lookup")
    leaving = asyncio.Task(discovery.__aexit__())
    _, late = await asyncio.wait({leaving}, timeout=5)
    release.set()  # first of all, or a failure would not end
    await asyncio.wait({leaving, *group})
    assert not late


async def test_first_round_waits_for_all_or_for_the_time() -> None:
    """The first round is over when each strategy has tried once, well or badly, or when the time is."""
    seen, release = Seen(), asyncio.Event()

    async def slow() -> Iterable[Peer]:
        await release.wait()
        return [OTHER]

    options = DiscoveryOptions(poll_interval_s=3600)
    strategies: dict[str, Any] = {"slow": Scripted(slow), "bad": Scripted(raising(OSError("down"))), "good": Scripted()}
    async with running(seen, options, **strategies) as discovery:
        assert discovery.status()["slow"].healthy is None
        assert not await discovery.first_round(0.05)
        release.set()
        assert await discovery.first_round(10)
        assert {name: status.healthy for name, status in discovery.status().items()} == {
            "slow": True, "bad": False, "good": True,
        }  # fmt: skip


async def test_no_strategies_is_a_first_round_at_once() -> None:
    """A node without strategies starts and stops, and knows at once that nobody will be found."""
    async with running(Seen()) as discovery:
        assert await discovery.first_round(0)
        assert discovery.status() == {}


async def test_discovery_starts_once() -> None:
    """Entering twice is refused."""
    discovery = Discovery({}, ME, Seen())
    async with discovery:
        with pytest.raises(AlreadyRunningError):
            await discovery.__aenter__()


def test_stubborn_strategy_does_not_keep_the_program_alive() -> None:
    """A program that leaves discovery can end its event loop, although a lookup has ignored every cancellation."""

    async def program() -> None:
        async with Discovery({"bad": Scripted(stubborn)}, ME, Seen(), QUICK) as discovery:
            await discovery.first_round(10)

    asyncio.run(program())
