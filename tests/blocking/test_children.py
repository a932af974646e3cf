"""Distributed children from threads."""

from __future__ import annotations

from foundation import Placement, blocking, spec
from tests.blocking.conftest import StartNodes
from tests.blocking.samples import Counter


def test_children_from_threads(start_nodes: StartNodes) -> None:
    """They are started, found, moved and ended by the same calls, which wait for their results."""
    here, there = start_nodes("here", "there")
    local = Placement("local")
    counter = here.start_process(Counter, 5, name="counter", distribute=True, restart="transient", placement=local)
    assert counter.add(2) == 7
    assert here.children.start(Counter, 5, name="counter", restart="transient", placement=local) == counter
    here.migrate(counter, "there")
    assert here.children.holder("counter") == there.node.node_id
    assert [report.name for report in here.children.on(there.node.node_id)] == ["counter"]
    assert there.drain("there") == 0
    assert [report.name for report in there.children.on(here.node.node_id)] == ["counter"]
    started = here.start_processes({"a": spec(Counter, 1), "b": spec(Counter, 2)})
    assert {name: one.add(0) for name, one in started.items()} == {"a": 1, "b": 2}
    shards = here.children.start_shards(Counter, 3, name="shards", shards=2)
    assert here.shard(Counter, "shards", "key") in shards
    here_only = here.children.start(Counter, name="all", instances="every_node")  # the other node was drained
    assert [one.add(0) for one in here_only] == [0]
    there.undrain("there")
    here.stop_process(started["a"])
    on_both = here.children.start(Counter, name="both", instances="every_node")
    assert [one.add(0) for one in on_both] == [0, 0]
    here.children.stop("both")
    here.children.stop("all")
    here.stop_process(counter)
    assert here.whereis("counter") is None


def test_module_calls_reach_the_only_cluster(start_nodes: StartNodes) -> None:
    """Where one cluster runs the calls of the module do the same."""
    del start_nodes
    with blocking.start_cluster(cluster="static", cookie="tests", name="only", handle_signals=False) as only:
        counter = blocking.start_process(Counter, 5, name="counter", distribute=True)
        assert blocking.cluster_info().distribution == "local: this node is alone"
        assert list(blocking.start_processes({"a": spec(Counter, 1)})) == ["a"]
        (shard,) = blocking.children().start_shards(Counter, name="shards", shards=1)
        assert blocking.shard(Counter, "shards", 1) == shard
        blocking.migrate(counter, "only")
        assert blocking.drain("only") == len(only.processes())
        blocking.undrain("only")
        assert blocking.start_process(Counter, 5, name="again", distribute=True).add(0) == 5
