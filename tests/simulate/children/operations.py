"""What users do with distributed children in a simulated run, by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import foundation
from foundation.cluster import Cluster
from foundation.core.identity import NodeId, ProcessId
from foundation.distribution import Placement
from foundation.errors import FoundationError, NameTakenError
from foundation.processes import EndReason
from foundation.testing import SimulatedCluster
from tests.simulate.children.book import Book, Done, Kind
from tests.simulate.children.worker import Worker
from tests.simulate.ledger import CallRecord, Ledger
from tests.simulate.operations import somebody

NAMES = tuple(f"child-{number}" for number in range(16))
_PLACEMENTS = (
    Placement(),
    Placement(strategy="random"),
    Placement(strategy="least_loaded"),
    Placement(apart="each other"),
)
_NOBODY = ProcessId(NodeId(""), 0)


def placement_of(name: str) -> Placement:
    """Return where a child is to run, which is the same each time that it is started."""
    return _PLACEMENTS[NAMES.index(name) % len(_PLACEMENTS)]


class Operations:
    """Operations of one run, which write down what came of them."""

    def __init__(self, ledger: Ledger, book: Book) -> None:
        self._ledger = ledger
        self._book = book

    def all(self) -> dict[str, Callable[[SimulatedCluster, Random], Awaitable[None]]]:
        return {
            "run": self.start,
            "run_everywhere": self.start_everywhere,
            "run_another": self.start_another,
            "terminate": self.terminate,
            "migrate": self.migrate,
            "drain": self.drain,
            "crash_child": self.crash_child,
            "add": self.add,
            "add_more": self.add,
            "where": self.where,
        }

    async def start(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Start some children from one node."""
        names = chance.sample(NAMES, chance.randint(1, 6))
        await somebody(cluster, chance).run(self._start_all, names)

    async def start_everywhere(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Start the same children from several nodes at the same instant."""
        names = chance.sample(NAMES, chance.randint(1, 4))
        able = [node for node in cluster.nodes if node.runs and not node.is_paused]
        some = chance.sample(able, min(len(able), 3))
        for came in await asyncio.gather(*[node.run(self._start_all, names) for node in some], return_exceptions=True):
            if isinstance(came, BaseException) and not isinstance(came, FoundationError):
                raise came

    async def start_another(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Start a child with other arguments, which is an error as long as there is one of that name."""
        await somebody(cluster, chance).run(self._start_all, [chance.choice(NAMES)], version=1)

    async def terminate(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Terminate a child."""
        name = chance.choice(NAMES)

        async def work(there: Cluster) -> None:
            done = self._begin("terminate", there, name)
            try:
                await there.children.stop(name)
                done.is_certain = True
            finally:
                done.ended_at = _now()

        await somebody(cluster, chance).run(work)

    async def migrate(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Move some children to some node."""
        names = chance.sample(NAMES, chance.randint(1, 3))
        target = chance.choice([node.node_id for node in cluster.nodes if node.runs] or [""])

        async def work(there: Cluster) -> None:
            moves = [there.children.migrate(name, NodeId(target)) for name in names]
            _raise(await asyncio.gather(*moves, return_exceptions=True))

        await somebody(cluster, chance).run(work)

    async def drain(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Have a node give its children away, unless that would leave too few, or take some again."""
        running = {node.node_id for node in cluster.nodes if node.runs}
        drained = self._book.drained & running
        node, target = somebody(cluster, chance), chance.choice(sorted(running))
        if target in drained:
            await node.run(lambda there: there.undrain(NodeId(target)))
            self._book.drained.discard(target)  # not when that failed: it may be drained still
        elif 2 * (len(drained) + 1) < len(running):
            self._book.drained.add(target)

            async def work(there: Cluster) -> int:
                return await there.children.drain(NodeId(target))

            await node.run(work)

    async def crash_child(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Have a child crash, without the error in the log that a real one leaves."""
        name, text = chance.choice(NAMES), "it was told to"

        async def work(there: Cluster) -> None:
            serial = there._running.names.held_child(name)
            if serial is not None:
                there._running.host.end(serial.serial, text, EndReason.CRASHED)

        for node in cluster.nodes:
            if node.runs and not node.is_paused:
                await node.run(work)

    async def add(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Call some children, a few times each."""
        names = [chance.choice(NAMES) for _ in range(chance.randint(1, 10))]
        timeout_s, pause_s = chance.choice([0.5, 2.0, 5.0]), chance.choice([0.0, 0.001, 0.05, 0.5])
        work_s = chance.choice([0.0, 0.0, 0.02, 0.5])

        async def work(there: Cluster) -> None:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._add(there, name, timeout_s, work_s))
                    await asyncio.sleep(pause_s)

        await somebody(cluster, chance).run(work)

    async def where(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Call a child until it is known what became of that."""
        name, timeout_s = chance.choice(NAMES), chance.choice([0.5, 5.0, 20.0])

        async def work(there: Cluster) -> None:
            await foundation.options(there.ref(Worker, name), timeout_s=timeout_s).where()

        await somebody(cluster, chance).run(work)

    # --- how they are made -----------------------------------------------------------------------------------

    async def _start_all(self, there: Cluster, names: list[str], version: int = 0) -> None:
        _raise(await asyncio.gather(*[self._start(there, name, version) for name in names[1:]], return_exceptions=True))
        await self._start(there, names[0], version)

    async def _start(self, there: Cluster, name: str, version: int) -> None:
        done = self._begin("start", there, name)
        try:
            await there.children.start(Worker, name, version, name=name, placement=placement_of(name))
            done.is_certain = True
            best = there._running.names.children.alive(f"n{name}")
            done.life = 0 if best is None else best[1].life
        except NameTakenError as error:
            message = f"{name} is taken, though only children have such names"
            raise AssertionError(message) from error
        finally:
            done.ended_at = _now()

    def _begin(self, kind: Kind, there: Cluster, name: str) -> Done:
        if len(there.members()) == 1 < self._book.live:  # nobody of those runs any more whom it was told to look for
            self._book.is_whole = False
        return self._book.begin(kind, there.node.node_id, name, _now())

    async def _add(self, there: Cluster, name: str, timeout_s: float, work_s: float) -> None:
        number, now = len(self._ledger.calls) + 1, _now()
        record = CallRecord(number, f"add to {name}", there.node.node_id, _NOBODY, now, now + timeout_s)
        self._ledger.calls[number] = record
        counted = self._book.counted.setdefault(name, {})
        before = dict(counted)
        try:
            strain, count = await foundation.options(there.ref(Worker, name), timeout_s=timeout_s).add(number, work_s)
        except BaseException as error:
            record.outcome, record.error = type(error).__name__, str(error).partition("\n")[0]
            if not isinstance(error, FoundationError):
                raise
        else:
            record.outcome = "result"
            is_kept = count > before.get(strain, 0)
            assert is_kept or not self._book.is_whole, f"{record}: counted to {count} after {before[strain]}"
            counted[strain] = max(count, counted.get(strain, 0))
        finally:
            record.ended_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _raise(outcomes: list[BaseException | None]) -> None:
    """Raise what is no error of the library, or nothing."""
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, FoundationError):
            raise outcome
