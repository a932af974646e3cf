"""Deadlines of many calls end with one timer, none of them too early and none much too late."""

from __future__ import annotations

import asyncio

import pytest

from foundation.processes.calling.deadlines import BUCKET_S, Deadlines


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


@pytest.mark.parametrize("bucket", [105_334, 105_335, 7, 100])
async def test_a_timer_that_comes_a_hair_early_is_enough(bucket: int) -> None:
    """What is lost by adding floats does not have it look again and again until the clock has moved."""
    clock, ended = Clock(), list[int]()
    deadlines = Deadlines(clock, ended.append)
    deadlines.add(1, (bucket - 0.5) * BUCKET_S)
    clock.at = bucket * BUCKET_S - 1e-12
    deadlines._look()
    assert ended == [1]
    deadlines.close()


async def test_nothing_ends_before_its_time() -> None:
    """A bucket that is not over yet stays, and one that is goes."""
    clock, ended = Clock(), list[int]()
    deadlines = Deadlines(clock, ended.append)
    early, late = deadlines.add(1, 0.995), deadlines.add(2, 1.001)
    assert early < late
    clock.at = early * BUCKET_S
    deadlines._look()
    assert ended == [1]
    deadlines.close()
    await asyncio.sleep(0)
