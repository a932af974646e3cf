"""A thousand calls at once end as they should: when the callee is killed, when they are cancelled, when time is up."""

from __future__ import annotations

import signal

import pytest

from tests.system.pairs import pair, told

BOTH_WAYS = pytest.mark.parametrize("way", ["direct", "routed"])

DESK = """
begun = cancelled = 0

async def work(number, after_s):
    global begun, cancelled
    begun += 1
    try:
        await asyncio.sleep(after_s)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return number

class Desk(foundation.Process, wire_name="Desk"):
    @concurrent
    async def aside(self, number: int, after_s: float) -> int:
        return await work(number, after_s)
    async def in_turn(self, number: int, after_s: float) -> int:
        return await work(number, after_s)

class Clerk(foundation.Process, wire_name="Clerk"):
    async def counts(self) -> dict[str, int]:
        others = len(parts().host._requests) - 1
        waiting = sum(info.mailbox_length for info in parts().host.processes())
        return {"begun": begun, "cancelled": cancelled, "requests": others, "waiting": waiting}

async def prepare(cluster):
    server = await server_of(cluster)
    desk = await cluster.start_process(Desk, node=server)
    clerk = await cluster.start_process(Clerk, node=server)
    await clerk.counts()
    await until_linked(server)
    return desk, clerk
"""

KILLED = """
async def story(cluster):
    desk, _ = await prepare(cluster)
    desk = foundation.options(desk, timeout_s=60)
    results, downs, ended = [], [], []
    async def call(method, number, after_s):
        try:
            results.append((number, await method(number, after_s)))
        except foundation.errors.NodeDown:
            downs.append(number)
        ended.append(time.monotonic())
        if len(results) == 50:
            tell(event="Some")
    calls = [call(desk.aside, number, 60) for number in range(400)]
    calls += [call(desk.aside, number, 0.002 * (number - 400)) for number in range(400, 800)]
    calls += [call(desk.in_turn, number, 60) for number in range(800, 1000)]
    await asyncio.gather(*calls)
    right = all(result == number for number, result in results)
    counts = {"results": len(results), "downs": len(downs), "left": len(parts().host.calls)}
    tell(event="Done", last=max(ended), right=right, **counts)
"""


@BOTH_WAYS
async def test_a_killed_callee_leaves_nobody_waiting(way: str) -> None:
    """0.5 s after `kill -9` each of 1,000 callers has its result or NodeDown, and no call is kept."""
    async with pair(DESK, KILLED, way) as (driver, server, _):
        await told(driver, "Some")
        killed_at = server.send(signal.SIGKILL)
        done = await told(driver, "Done")
        assert done["last"] - killed_at < 0.5
        assert (done["right"], done["left"]) == (True, 0)
        assert 50 <= done["results"] <= 400
        assert done["results"] + done["downs"] == 1000


CANCELLED = """
async def story(cluster):
    desk, clerk = await prepare(cluster)
    for kind, most in (("aside", 1000), ("in_turn", 1)):
        method = getattr(foundation.options(desk, timeout_s=60), kind)
        before = await clerk.counts()
        async def all_there():
            counts = await clerk.counts()
            return counts["begun"] - before["begun"] >= most and counts["requests"] == 1000
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(method(number, 60)) for number in range(1000)]
            await until(all_there)
            began = time.monotonic()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            took = time.monotonic() - began
        cancelled = sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        left = len(parts().host.calls)
        after = {}
        async def all_gone():
            after.update(await clerk.counts())
            return after["cancelled"] == after["begun"] and not after["requests"] and not after["waiting"]
        await until(all_gone)
        begun = after["begun"] - before["begun"]
        tell(event="Done", took=took, cancelled=cancelled, left=left, begun=begun, after=after)
"""


@BOTH_WAYS
async def test_cancelled_callers_return_at_once(way: str) -> None:
    """1,000 cancelled callers return within 0.5 s, and every handler that had begun is cancelled over there."""
    async with pair(DESK, CANCELLED, way) as (driver, _, _):
        for most in (1000, 1):
            done = await told(driver, "Done")
            assert done["took"] < 0.5
            assert (done["cancelled"], done["left"]) == (1000, 0)
            assert done["begun"] >= most
            assert done["after"]["cancelled"] == done["after"]["begun"]
            assert (done["after"]["requests"], done["after"]["waiting"]) == (0, 0)


TIMED = """
async def story(cluster):
    desk, clerk = await prepare(cluster)
    for kind in ("aside", "in_turn"):
        method = getattr(foundation.options(desk, timeout_s=0.05), kind)
        before = await clerk.counts()
        outcomes, longest = {}, 0.0
        async def call(number):
            nonlocal longest
            began = time.monotonic()
            try:
                await method(number, 60)
                outcome = "a result"
            except foundation.errors.FoundationError as error:
                outcome = type(error).__name__
            longest = max(longest, time.monotonic() - began)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        await asyncio.gather(*map(call, range(1000)))
        left = len(parts().host.calls)
        after = {}
        async def all_gone():
            after.update(await clerk.counts())
            return after["cancelled"] == after["begun"] and not after["requests"] and not after["waiting"]
        await until(all_gone)
        begun = after["begun"] - before["begun"]
        tell(event="Done", longest=longest, outcomes=outcomes, left=left, begun=begun, after=after)
"""


@BOTH_WAYS
async def test_callers_wait_no_longer_than_their_deadline(way: str) -> None:
    """1,000 calls with 50 ms each end in CallTimeout within 0.5 s, and what had begun over there is cancelled."""
    async with pair(DESK, TIMED, way) as (driver, _, _):
        for _ in ("aside", "in turn"):
            done = await told(driver, "Done")
            assert done["outcomes"] == {"CallTimeout": 1000}
            assert done["longest"] < 0.5
            assert done["left"] == 0
            assert done["begun"] > 0
            assert done["after"]["cancelled"] == done["after"]["begun"]
            assert (done["after"]["requests"], done["after"]["waiting"]) == (0, 0)
