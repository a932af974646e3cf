"""What the demo measures while words are counted, and where it holds the count until the nodes have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from foundation import Cluster, Member
from foundation.cli.outcome import NodeShare
from foundation.examples.wordcount import WordCount, WordCounter

_CALLS_PER_SHOW = 50


class Tally:
    """The calls that were answered, of ``size`` bytes of text in all."""

    def __init__(self, size: int, show: Callable[[float], None]) -> None:
        self.third = asyncio.Event()
        self.changed = asyncio.Event()
        self.calls = 0
        self.lines = 0
        self._batches: set[int] = set()
        self._seconds: list[float] = []
        self._size = size
        self._done = 0
        self._show = show
        self._shares: dict[str, tuple[int, int]] = {}
        self._killed: tuple[str, float] | None = None
        self.gap_s: float | None = None
        """The longest time in seconds in which the counter of a killed node gave no answer."""

    def killed(self, member: str) -> None:
        """Note that a node is killed now, whose counter is to go on elsewhere."""
        self._killed = member, perf_counter()

    async def answered(self, member: Member, batch: int, lines: list[str], seconds: float) -> None:
        """Note an answer. The last third has to wait until the nodes have changed, however little there is to count."""
        self.calls += 1
        if self._killed is not None and self._killed[0] == member.name:
            now, last = perf_counter(), self._killed[1]
            self.gap_s = max(now - last, self.gap_s or 0.0)
            self._killed = member.name, now
        if batch not in self._batches:  # those that were lost with a node come again
            self._batches.add(batch)
            self.lines += len(lines)
            self._done += sum(map(len, lines))
        self._seconds.append(seconds)
        calls, counted = self._shares.get(member.name, (0, 0))
        self._shares[member.name] = (calls + 1, counted + len(lines))
        if self.calls % _CALLS_PER_SHOW == 0:
            self._show(min(self._done / max(self._size, 1), 1.0))
        if 3 * self._done >= self._size:
            self.third.set()
        if 3 * self._done >= 2 * self._size:
            await self.changed.wait()

    def all_counted(self) -> None:
        """Note that nothing is left to count."""
        self._show(1.0)
        self.third.set()

    def percentile_ms(self, percent: int) -> float:
        """Return the milliseconds within which ``percent`` of the calls were answered; 0 without any."""
        ordered = sorted(self._seconds)
        return ordered[len(ordered) * percent // 100] * 1000 if ordered else 0.0

    def shares(self, parts: Mapping[str, str]) -> list[NodeShare]:
        """Return what each node did, in the order of ``parts``, which says what part each had."""
        return [NodeShare(name, part, *self._shares.get(name, (0, 0))) for name, part in parts.items()]


class MeasuredCount(WordCount):
    """The word count of the example, with a stopwatch in front of each counter.

    This node counts nothing while others do: it reads and hands out, and what is measured are calls between nodes.
    """

    def __init__(self, cluster: Cluster, files: list[str], tally: Tally) -> None:
        super().__init__(cluster, files)
        self._tally = tally
        self._feeding = 0
        self._others_are_done = asyncio.Event()

    async def feed(self, counter: WordCounter, member: Member) -> None:
        """Feed a counter through a stopwatch; the one of this node gets what is left when no other is fed."""
        if member.node_id == self.cluster.node.node_id:
            await self._others_are_done.wait()
        self._feeding += 1
        try:
            await super().feed(cast("WordCounter", _Stopwatch(counter, member, self._tally)), member)
        finally:
            self._feeding -= 1
            if not self._feeding:
                self._others_are_done.set()


@dataclass(frozen=True, slots=True)
class _Stopwatch:
    counter: WordCounter
    member: Member
    tally: Tally

    async def count(self, batch: int, lines: list[str]) -> None:
        began = perf_counter()
        await self.counter.count(batch, lines)
        await self.tally.answered(self.member, batch, lines, perf_counter() - began)
