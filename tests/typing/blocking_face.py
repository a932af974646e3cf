"""What a type checker must know about the blocking facade. Only checked, never run."""

from __future__ import annotations

from typing import Any, assert_type

import foundation
from foundation import (
    ChildInfo,
    Ended,
    GroupMember,
    MemberEvent,
    NameEvent,
    Placement,
    PresenceDiff,
    Supervisor,
    blocking,
    child,
    spec,
    supervisor,
)
from foundation.blocking import Blocking, Cluster, Stream
from foundation.core.identity import ProcessId
from foundation.reconfiguration import ReconfigurationReport, Setting
from tests.typing.public_face import Adds, Counter, Desk, Idle, Shop


def starting(cluster: Cluster) -> None:
    counter = cluster.start_process(Counter, 5, name="counter")
    assert_type(counter, Blocking[Counter])
    assert_type(cluster.start_process(Idle), Blocking[Idle])
    assert_type(cluster.start_process(Shop, "tea"), Blocking[Shop])
    assert_type(cluster.start_process(spec(Counter, start=5), node=foundation.ANY), Blocking[Counter])
    assert_type(blocking.start_process(Counter, 5), Blocking[Counter])
    with blocking.start_cluster() as started:
        assert_type(started, Cluster)


def supervising(cluster: Cluster) -> None:
    top = cluster.start_supervisor(child(Counter, 5), strategy="one_for_all", name="top")
    assert_type(top, Blocking[Supervisor])
    assert_type(blocking.start_supervisor(supervisor(child(Idle)), max_restarts=1), Blocking[Supervisor])
    assert_type(blocking.call(top.reference.start_child, child(Counter)), Counter)
    assert_type(blocking.call(top.reference.children), list[ChildInfo])


def calling(cluster: Cluster, counter: Blocking[Counter], shop: Blocking[Shop]) -> None:
    assert_type(counter.add(2), Any)
    assert_type(counter.reference, Counter)
    assert_type(blocking.call(counter.reference.add, 2), int)
    assert_type(blocking.call(counter.reference.add, n=2), int)
    assert_type(blocking.call(counter.reference.twin), Counter)
    assert_type(cluster.blocking(blocking.call(counter.reference.twin)), Blocking[Counter])
    assert_type(blocking.call(shop.reference.adder, counter.reference), int)
    assert_type(cluster.run(counter.reference.add(2)), int)
    assert_type(blocking.options(counter, timeout_s=0.2), Blocking[Counter])


def calling_what_is_marked(desk: Blocking[Desk]) -> None:
    assert_type(blocking.call(desk.reference.ask, "what?"), int)
    assert_type(blocking.call(desk.reference.compute, 3, times=2), str)
    assert_type(blocking.call(desk.reference.crunch, [3]), int)


def streaming(cluster: Cluster, counter: Blocking[Counter]) -> None:
    assert_type(blocking.call(counter.reference.watch, every_s=0.1), Stream[int])
    for value in cluster.iterate(counter.reference.watch()):
        assert_type(value, int)
    with cluster.events() as events:
        for event in events:
            assert_type(event, MemberEvent)


def casting(counter: Blocking[Counter]) -> None:
    blocking.cast(counter.add, 3)
    blocking.cast(counter.reference.add, n=3)


def by_name(cluster: Cluster) -> None:
    assert_type(cluster.ref(Counter, "counter"), Blocking[Counter])
    assert_type(blocking.ref(Adds, "counter"), Blocking[Adds])
    assert_type(blocking.call(cluster.ref(Adds, "counter").reference.add, 2), int)


def taking_what_is_more(counter: Blocking[Counter]) -> Blocking[foundation.Process]:
    return counter


def watching_and_grouping(cluster: Cluster, counter: Blocking[Counter]) -> None:
    assert_type(next(cluster.monitor(counter)), Ended)
    for process_id, value in cluster.groups.call_all("counters", Counter.add, 2):
        assert_type(process_id, ProcessId)
        assert_type(value, int | Exception)
    assert_type(blocking.groups("scope").members("counters"), list[GroupMember])
    assert_type(next(blocking.presence().watch("room")), PresenceDiff)
    assert_type(next(cluster.registry.watch()), tuple[NameEvent, ...])


def distributing(cluster: Cluster, counter: Blocking[Counter]) -> None:
    assert_type(cluster.start_process(Counter, 5, distribute=True, restart="transient"), Blocking[Counter])
    assert_type(cluster.children.start(Counter, 5, placement=Placement("local")), Blocking[Counter])
    assert_type(cluster.children.start(Counter, 5, name="a", instances="every_node"), list[Blocking[Counter]])
    assert_type(cluster.children.start_shards(Counter, name="a", shards=4), list[Blocking[Counter]])
    assert_type(blocking.shard(Counter, "a", 1), Blocking[Counter])
    assert_type(blocking.start_processes({"a": spec(Counter, 1)}), dict[str, Blocking[Counter]])
    blocking.migrate(counter, "node")
    assert_type(blocking.drain("node"), int)
    blocking.undrain("node")
    assert_type(blocking.reconfigure({"membership.down_after_s": 20}), ReconfigurationReport)
    assert_type(cluster.settings(), list[Setting])
