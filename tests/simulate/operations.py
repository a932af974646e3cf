"""What users do in a simulated run, by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

import foundation
from foundation.cluster import Cluster
from foundation.core.channels import ChannelName
from foundation.core.identity import ProcessId
from foundation.errors import FoundationError, NodeDown, NotDelivered
from foundation.testing import SimulatedCluster, SimulatedNode
from tests.simulate.desk import Desk, Sleeper
from tests.simulate.ledger import CallRecord, Ledger

T = TypeVar("T")

CHANNELS: tuple[ChannelName, ...] = ("control", "events", "telemetry", "data")
_FORMER_TARGET = 0.1
_LOADS = (50_000, 300_000, 1_500_000)


def host_of(cluster: Cluster) -> Any:
    parts: Any = cluster._parts
    return parts.host


def reference(cluster: Cluster, cls: type[T], process_id: ProcessId) -> T:
    """Return a reference that a node may use, though nobody gave it one."""
    made: T = host_of(cluster).reference(cls, process_id)
    return made


class Operations:
    """Operations of one run, which write down what came of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> dict[str, Callable[[SimulatedCluster, Random], Awaitable[None]]]:
        return {
            "call": self.call,
            "urgent_call": self.urgent_call,
            "bulk_call": self.bulk_call,
            "slow_call": self.slow_call,
            "cancelled_call": self.cancelled_call,
            "nested_call": self.nested_call,
            "cast": self.cast,
            "cast_on": self.cast_on,
            "stream": self.stream,
            "start_and_stop": self.start_and_stop,
        }

    # --- operations ------------------------------------------------------------------------------------------

    async def call(self, cluster: SimulatedCluster, chance: Random, channel: ChannelName = "events") -> None:
        """Make some calls at once, to some desks."""
        node = somebody(cluster, chance)
        targets = [self._target(cluster, chance, self._ledger.desks) for _ in range(chance.randint(1, 8))]
        limits = [chance.choice([0.05, 0.5, 2.0, 5.0]) for _ in targets]

        async def work(there: Cluster) -> None:
            async with asyncio.TaskGroup() as group:
                for target, timeout_s in zip(targets, limits, strict=True):
                    desk = foundation.options(reference(there, Desk, target), timeout_s=timeout_s, channel=channel)
                    group.create_task(self._call(there, "double", target, timeout_s, desk.double, of=2))

        await node.run(work)

    async def urgent_call(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Make calls in the channel that goes first."""
        await self.call(cluster, chance, "control")

    async def bulk_call(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Make calls with large arguments, which take many packets and fill the window."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.desks)
        channel: ChannelName = chance.choice(["data", "events"])
        size, many = chance.choice(_LOADS), chance.randint(1, 3)
        timeout_s = chance.choice([0.5, 5.0])

        async def work(there: Cluster) -> None:
            desk = foundation.options(reference(there, Desk, target), timeout_s=timeout_s, channel=channel)
            async with asyncio.TaskGroup() as group:
                for _ in range(many):
                    group.create_task(
                        self._call(there, "weigh", target, timeout_s, lambda n: desk.weigh(n, bytes(size)), is_=size)
                    )

        await node.run(work)

    async def slow_call(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Call handlers that sleep, some beyond the deadline."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.sleepers)
        naps = [chance.uniform(0.0, 2.0) for _ in range(chance.randint(1, 5))]
        timeout_s, aside = chance.choice([0.1, 1.0, 4.0]), chance.random() < 0.5

        async def work(there: Cluster) -> None:
            sleeper = foundation.options(reference(there, Sleeper, target), timeout_s=timeout_s)
            method = sleeper.aside if aside else sleeper.in_turn
            async with asyncio.TaskGroup() as group:
                for nap_s in naps:
                    group.create_task(
                        self._call(there, "sleep", target, timeout_s, lambda n, s=nap_s: method(n, s), of=1)
                    )

        await node.run(work)

    async def cancelled_call(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Cancel calls that are on their way, at work, or about to be answered."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.sleepers)
        naps = [(chance.uniform(0.0, 1.0), chance.uniform(0.0, 1.0)) for _ in range(chance.randint(1, 5))]
        aside = chance.random() < 0.5

        async def cancel_after(there: Cluster, nap_s: float, after_s: float) -> None:
            sleeper = foundation.options(reference(there, Sleeper, target), timeout_s=5.0)
            method = sleeper.aside if aside else sleeper.in_turn
            with suppress(TimeoutError):
                async with asyncio.timeout(after_s):
                    await self._call(there, "sleep", target, 5.0, lambda n: method(n, nap_s), of=1)

        async def work(there: Cluster) -> None:
            async with asyncio.TaskGroup() as group:
                for nap_s, after_s in naps:
                    group.create_task(cancel_after(there, nap_s, after_s))

        await node.run(work)

    async def nested_call(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Call a desk that calls another one."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.desks)
        other = self._target(cluster, chance, self._ledger.desks)
        timeout_s = chance.choice([0.5, 5.0])

        async def work(there: Cluster) -> None:
            desk = foundation.options(reference(there, Desk, target), timeout_s=timeout_s)
            last = reference(there, Desk, other)
            await self._call(there, "forward", target, timeout_s, lambda n: desk.forward(n, last), of=2)

        await node.run(work)

    async def cast(self, cluster: SimulatedCluster, chance: Random, channel: ChannelName = "events") -> None:
        """Send numbered casts, one after the other."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.desks)
        many, pause_s = chance.randint(1, 40), chance.choice([0.0, 0.0, 0.02, 0.2])
        await node.run(self._cast, target, channel, many, pause_s)

    async def cast_on(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Send numbered casts in any channel."""
        await self.cast(cluster, chance, chance.choice(CHANNELS))

    async def stream(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Read a stream, sometimes not to its end."""
        node, target = somebody(cluster, chance), self._target(cluster, chance, self._ledger.desks)
        most, wanted = chance.randint(0, 600), chance.randint(1, 900)
        pause_s = chance.choice([0.0, 0.0, 0.05])

        async def work(there: Cluster) -> None:
            got = 0
            async for number in reference(there, Desk, target).count_to(most):
                assert number == got, f"item {number} of a stream came in place {got}"
                got += 1
                if got == wanted:
                    return
                if got % 50 == 0:
                    await asyncio.sleep(pause_s)
            assert got == most, f"a stream of {most} items ended after {got}"

        await node.run(work)

    async def start_and_stop(self, cluster: SimulatedCluster, chance: Random) -> None:
        """Start a process with a name on some node, call it by its name from another, and stop it."""
        node, other = somebody(cluster, chance), somebody(cluster, chance)
        name, timeout_s = f"temp-{chance.getrandbits(64)}", chance.choice([0.5, 5.0])
        where = chance.choice([one.node_id for one in cluster.nodes if one.runs])

        async def start(there: Cluster) -> ProcessId:
            started = await there.start_process(Desk, name=name, node=where)
            return started.process_id

        async def use(there: Cluster) -> None:
            desk = foundation.options(there.ref(Desk, name), timeout_s=timeout_s)
            await self._call(there, "by name", process_id, timeout_s, desk.double, of=2)

        async def stop(there: Cluster) -> None:
            await there.stop_process(process_id)

        process_id = await node.run(start)
        if other.runs:
            await other.run(use)
        if node.runs:
            await node.run(stop)

    # --- how they are made -----------------------------------------------------------------------------------

    def _target(self, cluster: SimulatedCluster, chance: Random, known: dict[str, ProcessId]) -> ProcessId:
        """Pick the process of a node that takes part, or now and then of any that ever did."""
        present = [known[node.node_id] for node in cluster.nodes if node.runs and node.node_id in known]
        former = chance.random() < _FORMER_TARGET
        return chance.choice(list(known.values()) if former or not present else present)

    def _new_call(self, there: Cluster, what: str, target: ProcessId, timeout_s: float) -> CallRecord:
        now = asyncio.get_running_loop().time()
        number = len(self._ledger.calls) + 1
        record = CallRecord(number, what, there.node.node_id, target, now, now + timeout_s)
        self._ledger.calls[number] = record
        return record

    async def _call(
        self,
        there: Cluster,
        what: str,
        target: ProcessId,
        timeout_s: float,
        call: Callable[[int], Awaitable[int]],
        *,
        of: int = 0,
        is_: int = 0,
    ) -> None:
        """Make a call that should return ``is_``, or ``of`` times its number."""
        record = self._new_call(there, what, target, timeout_s)
        try:
            result = await call(record.number)
        except BaseException as error:
            record.outcome, record.error = type(error).__name__, str(error).partition("\n")[0]
            if not isinstance(error, FoundationError):
                raise
        else:
            record.outcome = "result"
            expected = is_ or of * record.number
            assert result == expected, f"{record} gave {result}, not {expected}"
        finally:
            record.ended_at = asyncio.get_running_loop().time()

    async def _cast(self, there: Cluster, target: ProcessId, channel: ChannelName, many: int, pause_s: float) -> None:
        me = there.node.node_id
        desk = foundation.options(reference(there, Desk, target), timeout_s=5.0, channel=channel)
        casts = self._ledger.lane(me, target, channel)
        for _ in range(many):
            async with casts.turn:
                casts.last = number = casts.last + 1
                try:
                    await foundation.cast(desk.note, me, channel, number)
                except NotDelivered:
                    casts.refused.add(number)
                    raise
                casts.accepted.append(number)
            await asyncio.sleep(pause_s)


def somebody(cluster: SimulatedCluster, chance: Random) -> SimulatedNode:
    """Pick a node that can do something."""
    able = [node for node in cluster.nodes if node.runs and not node.is_paused]
    if not able:
        message = "no node runs"
        raise NodeDown(message)
    return chance.choice(able)
