"""Tasks end with their owner and fail alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging

import pytest

from foundation.core import tasks
from foundation.core.backoff import Backoff
from foundation.core.tasks import TaskScope
from tests.waiting import eventually, turns

FOREVER = 3600.0


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    message = "broken on purpose"
    raise ValueError(message)


async def test_leaving_the_scope_waits_for_every_task() -> None:
    """When the scope is left, each task has ended, also one that takes its time to clean up."""
    ended: list[str] = []

    async def clean_up_slowly(name: str) -> None:
        try:
            await wait_for_ever()
        finally:
            await turns(20)
            ended.append(name)

    async with TaskScope("owner") as scope:
        scope.start(clean_up_slowly("a"), "a")
        scope.start(clean_up_slowly("b"), "b")
        await turns()
    assert sorted(ended) == ["a", "b"]
    assert len(scope) == 0


async def test_a_task_started_by_an_ending_task_is_refused() -> None:
    """Nothing slips into a scope that is closing, and the refused coroutine is closed without a warning."""
    refused: list[BaseException] = []

    async def start_another() -> None:
        try:
            await wait_for_ever()
        finally:
            try:
                scope.start(wait_for_ever(), "late")
            except RuntimeError as error:
                refused.append(error)

    async with TaskScope("owner") as scope:
        scope.start(start_another(), "starter")
        await turns()
    assert "owner" in str(refused[0])


async def test_closing_twice_is_harmless() -> None:
    """A scope can be closed again, and from one of its own tasks."""
    scope = TaskScope("owner")
    own = scope.start(scope.close(), "closer")
    other = scope.start(wait_for_ever(), "other")
    await own
    await scope.close()
    assert other.cancelled()


async def test_a_failing_task_is_logged_and_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An error is logged under the owner's and the task's name; the siblings and the owner go on."""
    async with TaskScope("owner") as scope:
        sibling = scope.start(wait_for_ever(), "sibling")
        scope.start(fail(), "failing")
        await eventually(lambda: len(scope) == 1)
        assert not sibling.done()
    assert "owner: failing failed" in caplog.text
    assert "broken on purpose" in caplog.text


async def test_a_cancelled_task_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """Stopping a task by closing its scope logs nothing."""
    with caplog.at_level(logging.DEBUG):
        async with TaskScope("owner") as scope:
            scope.start(wait_for_ever(), "patient")
            await turns()
    assert "patient" not in caplog.text


async def test_a_cancelled_close_still_waits_for_the_tasks() -> None:
    """Whoever leaves the scope while being cancelled also leaves no task behind."""
    ended = asyncio.Event()

    async def clean_up_slowly() -> None:
        try:
            await wait_for_ever()
        finally:
            await turns(20)
            ended.set()

    async def own_and_leave() -> None:
        async with TaskScope("inner") as inner:
            inner.start(clean_up_slowly(), "slow")
            await turns()

    async with TaskScope("outer") as outer:
        owner = outer.start(own_and_leave(), "owner")
        await turns(8)
        owner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await owner
        assert ended.is_set()


async def test_failing_work_is_run_again_after_a_growing_delay(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``keep_running`` runs the work until it returns, and waits longer after each failure."""
    monkeypatch.setattr(tasks, "RESTART", Backoff(first_s=0.01, most_s=0.04, jitter=0))
    loop = asyncio.get_running_loop()
    tries: list[float] = []

    async def fail_four_times() -> None:
        tries.append(loop.time())
        if len(tries) < 5:
            await fail()

    async with TaskScope("owner") as scope:
        await asyncio.wait_for(scope.keep_running(fail_four_times, "work"), 10)
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert len(tries) == 5
    assert all(wait >= least * 0.99 for wait, least in zip(waits, (0.01, 0.02, 0.04, 0.04), strict=True))
    assert caplog.text.count("work failed (ValueError: broken on purpose)") == 4


async def test_a_scope_stops_work_that_waits_for_its_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing does not wait for the delay between two tries."""
    monkeypatch.setattr(tasks, "RESTART", Backoff(first_s=FOREVER, most_s=FOREVER))
    async with asyncio.timeout(10), TaskScope("owner") as scope:
        scope.keep_running(fail, "work")
        await turns()


async def test_a_swallowed_cancellation_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that lost its cancellation, as ``asyncio.wait_for`` may, is cancelled again."""
    monkeypatch.setattr(tasks, "_PATIENCE_S", 0.05)

    async def swallow_one() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await wait_for_ever()
        await wait_for_ever()

    async with asyncio.timeout(10), TaskScope("owner") as scope:
        scope.start(swallow_one(), "stubborn")
        await turns()


async def test_work_that_fails_while_it_is_stopped_is_not_run_again() -> None:
    """A scope that is closing tries nothing again, even if the cancellation came out as another error."""
    runs = 0

    async def fail_when_stopped() -> None:
        nonlocal runs
        runs += 1
        try:
            await wait_for_ever()
        finally:
            await fail()

    async with asyncio.timeout(10), TaskScope("owner", chance=lambda: 0.0) as scope:
        scope.keep_running(fail_when_stopped, "work")
        await turns()
    assert runs == 1
