"""Count words with all nodes: ``foundation node wordcount.py`` waits for work, ``wordcount.py FILE...`` gives it."""

import asyncio
import re
import sys
from collections import Counter
from contextlib import suppress
from fileinput import FileInput
from itertools import islice

import foundation.errors


class WordCounter(foundation.Process):
    """Counts words. It hands its counts to its head when it stops here: all is done, or it moves as its node leaves."""

    def __init__(self, head: "WordCounter | None" = None) -> None:
        self._head, self._batches, self._counts = head, set[int](), Counter[str]()

    @foundation.idempotent  # so a call is made again where the counter runs by then, if its node dies
    async def count(self, batch: int, lines: list[str]) -> None:
        await self.add({batch}, Counter(re.findall(r"\w+", "\n".join(lines))))

    async def add(self, batches: set[int], counts: dict[str, int]) -> tuple[set[int], dict[str, int]]:
        if self._batches.isdisjoint(batches):  # all or nothing: what two have counted must count once
            self._batches |= batches
            self._counts.update(counts)
        return self._batches, self._counts

    async def stopping(self, reason: str) -> None:
        if self._head is not None:
            await self._head.add(self._batches, self._counts)


class WordCount:
    """Hands lines out to all members, also to those who join meanwhile, and once more those lost with a member."""

    def __init__(self, cluster: foundation.Cluster, files: list[str]) -> None:
        self.cluster, self.files, self.given = cluster, files, dict[int, foundation.Member]()

    async def run(self) -> dict[str, int]:
        head, done = await self.cluster.start_process(WordCounter), set[int]()
        while True:
            await self.hand_out(head, done)
            done, counts = await head.add(set(), {})
            if done >= self.given.keys():
                return counts

    async def hand_out(self, head: WordCounter, done: set[int]) -> None:
        with FileInput(self.files, encoding="utf-8", errors="replace") as text:
            self.batches = (b for b in enumerate(iter(lambda: list(islice(text, 50)), [])) if b[0] not in done)
            async with asyncio.TaskGroup() as group, self.cluster.events() as events:
                group.create_task(self.feed(head, self.cluster.node)).add_done_callback(lambda _: events.close())
                async for event in events:
                    if isinstance(event, foundation.MemberUp):
                        group.create_task(self.employ(event.member, head))

    async def employ(self, member: foundation.Member, head: WordCounter) -> None:
        with suppress(foundation.errors.FoundationError):  # it does not know the class, or it leaves
            counter = await self.cluster.start_process(WordCounter, head, name=f"words/{member.name}", distribute=True)
            with suppress(foundation.errors.FoundationError):  # it leaves
                await self.cluster.migrate(counter, member)
                await asyncio.gather(*(self.feed(counter, member) for _ in range(8)))  # so many calls at a time
            await self.cluster.stop_process(counter)

    async def feed(self, counter: WordCounter, member: foundation.Member) -> None:
        with suppress(foundation.errors.FoundationError):
            for number, lines in self.batches:  # shared by all: who is done takes the next
                self.given[number] = member
                await counter.count(number, lines)


async def script(files: list[str]) -> None:
    async with foundation.start_cluster() as cluster:
        print(*Counter(await WordCount(cluster, files).run()).most_common(10), sep="\n")


if __name__ == "__main__":
    asyncio.run(script(sys.argv[1:]))
