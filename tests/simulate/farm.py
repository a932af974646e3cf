"""Play the schedules of many seeds on all cores, one process for each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context

import msgspec

from foundation.testing.schedules import Outcome, play_seed
from tests.simulate.plants import planted
from tests.simulate.scenarios import SCENARIOS

_SEEDS_AT_ONCE = 4
_WAITING_FOR_EACH = 2


@dataclass
class Harvest:
    """What came of many runs."""

    played: int = 0
    virtual_s: float = 0.0
    happened: Counter[str] = field(default_factory=Counter[str])
    failed: Outcome | None = None
    """The failed run with the lowest seed."""


def play_many(
    seeds: Iterable[int], plant: str, progress: Callable[[Harvest], None], scenario: str = "nodes"
) -> Harvest:
    """Play the schedules of seeds until one fails; of several that do, the lowest seed counts."""
    harvest = Harvest()
    chunks = _in_chunks(iter(seeds))
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        waiting = [_submitted(pool, chunk, plant, scenario) for chunk in islice(chunks, cores * _WAITING_FOR_EACH)]
        while waiting:
            for outcome in msgspec.msgpack.decode(waiting.pop(0).result(), type=list[Outcome]):
                harvest.played += 1
                harvest.virtual_s += outcome.took_s
                harvest.happened.update(outcome.happened)
                if outcome.failed:
                    harvest.failed = outcome
                    pool.shutdown(cancel_futures=True)
                    return harvest
            progress(harvest)
            waiting += [_submitted(pool, chunk, plant, scenario) for chunk in islice(chunks, 1)]
    return harvest


def play_chunk(seeds: list[int], plant: str, scenario: str) -> bytes:
    """Play some seeds in this process, up to the first that fails."""
    outcomes: list[Outcome] = []
    with planted(plant):
        for seed in seeds:
            outcome = play_seed(seed, SCENARIOS[scenario])
            outcomes.append(outcome if outcome.failed else msgspec.structs.replace(outcome, events=()))
            if outcome.failed:
                break
    return msgspec.msgpack.encode(outcomes)


def _submitted(pool: ProcessPoolExecutor, seeds: list[int], plant: str, scenario: str) -> Future[bytes]:
    return pool.submit(play_chunk, seeds, plant, scenario)


def _in_chunks(seeds: Iterator[int]) -> Iterator[list[int]]:
    while chunk := list(islice(seeds, _SEEDS_AT_ONCE)):
        yield chunk
