"""What a type checker must know about processes and references. Only checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, assert_type

import foundation
from foundation import (
    Backoff,
    Child,
    ChildCount,
    ChildInfo,
    ChildReport,
    Cluster,
    Ended,
    GroupChange,
    GroupMember,
    Monitor,
    NameEvent,
    Placement,
    PresenceDiff,
    PresenceMeta,
    Process,
    Spec,
    Supervisor,
    Timer,
    cast,
    child,
    concurrent,
    idempotent,
    offload,
    options,
    spec,
    supervisor,
)
from foundation.core.identity import NodeId, ProcessId
from foundation.processes import Host
from foundation.reconfiguration import ReconfigurationReport, Setting


class Counter(Process):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    async def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    async def watch(self, every_s: float = 1.0) -> AsyncIterator[int]:
        del every_s
        yield self.value

    async def twin(self) -> Counter:
        return self.reference


class Shop(Process, wire_name="shop.Shop"):
    def __init__(self, name: str, counter: Counter | None = None) -> None:
        self.name = name
        self.counter = counter

    async def adder(self, adder: Adds) -> int:
        return await adder.add(1)


class Alarm(Process):
    """Sends messages to itself."""

    async def handle_message(self, message: str) -> None:
        assert_type(self.send_after(1, message), Timer)
        again = self.every(0.5, Shop)
        again.cancel()

    async def snapshot(self) -> dict[str, int]:
        return {}

    async def restore(self, state: dict[str, int]) -> None: ...

    async def merge(self, state: dict[str, int]) -> None: ...


class Desk(Process):
    """Says of its methods how they are to be run."""

    @concurrent
    async def ask(self, question: str) -> int:
        return len(question)

    @offload
    def compute(self, n: int, *, times: int = 1) -> str:
        return str(n) * times

    @concurrent
    @offload(to="thread")
    def block(self, n: int) -> float:
        return n / 2

    @staticmethod
    @offload(to="process")
    def crunch(numbers: list[int]) -> int:
        return sum(numbers)

    @idempotent
    async def put(self, key: str, value: int = 0) -> bool:
        return len(key) == value

    @idempotent
    @offload
    def look_up(self, key: str) -> int:
        return len(key)

    async def think(self) -> str:
        assert_type(await self.crunch([1, 2]), int)
        return await self.compute(3)


class Computes(Protocol):
    async def compute(self, n: int, *, times: int = ...) -> str: ...


class Idle(Process):
    """Has no constructor of its own."""


class Adds(Protocol):
    async def add(self, n: int = ...) -> int: ...

    def watch(self, every_s: float = ...) -> AsyncIterator[int]: ...


async def starting(cluster: Cluster) -> None:
    counter = await cluster.start_process(Counter, 5, name="counter")
    assert_type(counter, Counter)
    assert_type(await cluster.start_process(Counter), Counter)
    assert_type(await cluster.start_process(Idle, name="idle"), Idle)
    assert_type(await cluster.start_process(Shop, "tea"), Shop)
    assert_type(await cluster.start_process(Shop, "tea", counter), Shop)
    assert_type(await cluster.start_process(spec(Counter, start=5)), Counter)
    assert_type(await cluster.start_process(Counter, 5, node=foundation.ANY), Counter)
    assert_type(await foundation.start_process(Counter, 5, name="counter"), Counter)


class Matrix:
    def to_bytes(self) -> bytes:
        return b""

    @classmethod
    def from_bytes(cls, data: bytes) -> Matrix:
        del data
        return cls()


def registering() -> None:
    foundation.register_type(Matrix, to_bytes=Matrix.to_bytes, from_bytes=Matrix.from_bytes)
    foundation.register_type(Matrix, to_bytes=lambda matrix: matrix.to_bytes(), from_bytes=lambda _: Matrix(), name="m")


def describing() -> None:
    assert_type(spec(Counter, start=5), Spec[Counter])
    assert_type(spec(Counter), Spec[Counter])


async def calling(counter: Counter, shop: Shop) -> None:
    assert_type(await counter.add(2), int)
    assert_type(await counter.twin(), Counter)
    assert_type(counter.process_id, ProcessId)
    assert_type(counter.reference, Counter)
    assert_type(await shop.adder(counter), int)


async def streaming(counter: Counter) -> None:
    async for value in counter.watch():
        assert_type(value, int)


async def calling_what_is_marked(desk: Desk) -> None:
    assert_type(await desk.ask("what?"), int)
    await cast(desk.ask, question="what?")
    assert_type(await desk.compute(3, times=2), str)
    assert_type(await desk.block(n=3), float)
    assert_type(await desk.crunch([1]), int)
    await cast(desk.compute, 3)
    await cast(desk.crunch, [3])
    assert_type(await desk.put("a", value=1), bool)
    assert_type(await desk.look_up("a"), int)
    computes: Computes = desk
    assert_type(await computes.compute(3), str)


async def casting(counter: Counter) -> None:
    await cast(counter.add, 3)
    await cast(counter.add, n=3)
    await cast(counter.add)
    assert_type(await foundation.send(counter, {"any": "message"}), None)


async def with_options(counter: Counter) -> None:
    assert_type(options(counter, timeout_s=0.2), Counter)
    assert_type(await options(counter, timeout_s=None).add(1), int)


async def by_name(cluster: Cluster) -> None:
    assert_type(cluster.ref(Counter, "counter"), Counter)
    assert_type(foundation.ref(Counter, "counter"), Counter)
    adds = cluster.ref(Adds, "counter")
    assert_type(adds, Adds)
    assert_type(await adds.add(2), int)
    async for value in adds.watch():
        assert_type(value, int)


async def watching(cluster: Cluster, counter: Counter) -> None:
    assert_type(await cluster.monitor(counter), Ended)
    assert_type(await foundation.monitor(cluster.node), Ended)
    async for ended in cluster.monitor(counter):
        assert_type(ended.process_id, ProcessId | None)
    assert_type(await cluster.start_process(Counter, 5, link=counter), Counter)


class Parent(Process):
    async def adopt(self) -> Counter:
        assert_type(self.monitor(self), Monitor)
        assert_type(await self.start_linked(Shop, "tea"), Shop)
        assert_type(await self.start_linked(Counter), Counter)
        return await self.start_linked(spec(Counter, start=5))


async def grouping(cluster: Cluster, counter: Counter) -> None:
    await cluster.groups.join("counters", counter, {"zone": 1})
    assert_type(cluster.groups("scope").members("counters"), list[GroupMember])
    assert_type(await cluster.groups.publish("counters", {"any": "message"}), int)
    async for process_id, value in cluster.groups.call_all("counters", Counter.add, 2, timeout_s=1):
        assert_type(process_id, ProcessId)
        assert_type(value, int | Exception)
    async for _, twin in foundation.groups().call_all("counters", Counter.twin):
        assert_type(twin, Counter | Exception)
    async for _, value in foundation.groups("scope").call_all("counters", Counter.add):
        assert_type(value, int | Exception)
    async for change in cluster.groups.watch():
        assert_type(change, GroupChange)


async def being_present(cluster: Cluster, counter: Counter) -> None:
    await cluster.presence.track("room", "anne", {"any": "meta"}, process=counter)
    await foundation.presence().update("room", "anne", lambda meta: meta)
    assert_type(cluster.presence.list("room"), dict[str, list[Any]])
    async for diff in cluster.presence.watch("room"):
        assert_type(diff, PresenceDiff)
        assert_type(diff.joins["anne"], list[PresenceMeta])


async def naming(cluster: Cluster, counter: Counter) -> None:
    await cluster.register("counter", counter, {"zone": 1})
    assert_type(cluster.registry.names("c", {"zone": 1}), list[str])
    assert_type(foundation.whereis("counter"), ProcessId | None)
    async for events in cluster.registry.watch("c"):
        assert_type(events, tuple[NameEvent, ...])


def planting() -> None:
    assert_type(child(Counter, 5, name="counter", restart="transient", stop_timeout_s=1), Child[Counter])
    assert_type(child(Counter), Child[Counter])
    assert_type(child(spec(Shop, name="tea")), Child[Shop])
    inner = supervisor(child(Idle), child(Counter, 1), strategy="rest_for_one")
    assert_type(inner, Child[Supervisor])
    assert_type(supervisor(inner, child(Idle), max_restarts=1, within_s=2, backoff=Backoff()), Child[Supervisor])
    assert_type(inner.spec, Spec[Supervisor])
    trees: list[Child[Process]] = [inner, child(Idle)]
    assert_type(supervisor(*trees, name="all"), Child[Supervisor])


async def supervising(cluster: Cluster) -> None:
    top = await cluster.start_supervisor(child(Counter, 5), supervisor(), strategy="one_for_all", name="top")
    assert_type(top, Supervisor)
    assert_type(await foundation.start_supervisor(child(Idle), node=foundation.ANY, within_s=1), Supervisor)
    assert_type(await top.start_child(child(Counter, 5)), Counter)
    assert_type(await top.start_child(supervisor(child(Idle))), Supervisor)
    assert_type(await top.children(), list[ChildInfo])
    assert_type(await top.count(), ChildCount)
    assert_type(await top.restart("Counter"), ProcessId)
    await top.terminate("Counter")
    await top.remove((await top.start_child(child(Idle))).process_id)


async def hosting(host: Host, node: NodeId) -> None:
    assert_type(await host.start(Counter, (5,)), Counter)
    assert_type(await host.start_on(node, Counter), Counter)
    assert_type(host.ref(Counter, "counter"), Counter)
    assert_type(host.ref(Adds, "counter"), Adds)


async def distributing(cluster: Cluster, counter: Counter) -> None:
    assert_type(await cluster.start_process(Counter, 5, distribute=True, restart="transient"), Counter)
    children = cluster.children
    assert_type(await children.start(Counter, 5, name="counter", placement=Placement(roles=("web",))), Counter)
    assert_type(await children.start(spec(Counter, start=5)), Counter)
    assert_type(await children.start(Counter, 5, name="counter", instances=3), list[Counter])
    assert_type(await children.start(Shop, "tea", name="tea", instances="every_node"), list[Shop])
    assert_type(await children.start_shards(Counter, name="counters", shards=4), list[Counter])
    assert_type(cluster.shard(Counter, "counters", "key"), Counter)
    assert_type(foundation.shard(Adds, "counters", 7), Adds)
    assert_type(await cluster.start_processes({"a": spec(Counter, 1)}), dict[str, Counter])
    assert_type(await foundation.start_processes({"a": spec(Counter, 1)}), dict[str, Counter])
    assert_type(await foundation.start_process(Counter, 5, distribute=True, placement=Placement("local")), Counter)
    assert_type(await cluster.drain("node"), int)
    assert_type(await cluster.reconfigure({"membership.down_after_s": 20}), ReconfigurationReport)
    assert_type(await foundation.reconfigure(membership={"down_after_s": None}), ReconfigurationReport)
    assert_type(await cluster.settings(), list[Setting])
    await cluster.undrain("node")
    await foundation.undrain(cluster.node)
    assert_type(await foundation.children().on(cluster.node.node_id), list[ChildReport])
    await foundation.migrate(counter, cluster.node)
