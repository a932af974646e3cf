"""Names, groups, presence and monitors from threads."""

from __future__ import annotations

import foundation
from foundation import EndReason, blocking
from foundation.processes import Process
from tests.blocking.conftest import StartNodes
from tests.blocking.samples import Counter
from tests.blocking.threads import eventually


def test_names_groups_and_presence_from_threads(start_nodes: StartNodes) -> None:
    """What the cluster knows about processes is there for threads too, near and far."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, 5, node="there")
    here.register("one", counter, {"zone": "a"})
    assert here.whereis("one") == there.await_name("one", 5) == counter.process_id
    here.registry.update_metadata("one", {"zone": "b"})
    here.groups.join("counters", counter)
    here.groups("scope").join("counters", counter.reference)
    here.presence.track("room", "anne", 1)
    here.presence.update("room", "anne", lambda meta: meta + 1)
    there.wait_for_sync()
    here.wait_for_sync()
    assert (there.registry.names("o", {"zone": "b"}), there.registry.count()) == (["one"], 1)
    assert [member.process_id for member in there.groups.members("counters")] == [counter.process_id]
    assert there.groups.local_members("counters") == there.groups("scope").members("counters")
    assert there.presence.list("room") == {"anne": [2]}
    assert list(here.groups.call_all("counters", Counter.add, 2)) == [(counter.process_id, 7)]


def test_changes_are_watched_from_threads(start_nodes: StartNodes) -> None:
    """Watches of names, groups and presence are iterators that end with their `with` block."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node="there")
    with there.registry.watch("t") as names, there.groups.watch() as groups, there.presence.watch("room") as diffs:
        here.presence.track("room", "anne")
        assert list(next(diffs).joins) == ["anne"]
        here.presence.untrack("room", "anne")
        here.groups.join("counters", counter)
        here.groups.leave("counters", counter)
        assert next(groups).group == "counters"
        here.register("one", counter)
        here.unregister("one")
        here.register("two", counter)
        assert next(names)[0].name == "two"
    eventually(lambda: (there.groups.names(), there.presence.topics()) == ([], []))


def test_an_end_is_waited_for(start_nodes: StartNodes) -> None:
    """A monitor is an iterator of one item; linked processes share their fate."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node="there")
    linked = here.start_process(Counter, link=counter)
    monitors = here.monitor(counter), here.monitor(linked)
    there.stop()
    assert [[ended.reason for ended in monitor] for monitor in monitors] == [[EndReason.NODE_LEFT], [EndReason.LINKED]]


def test_the_module_has_the_same_calls(start_nodes: StartNodes) -> None:
    """The calls of the module are those of the one cluster that runs, as in `foundation`."""
    (here,) = start_nodes("here")
    counter = blocking.start_process(Counter)
    blocking.register("one", counter)
    blocking.groups("scope").join("counters", counter)
    blocking.presence().track("room", "anne")
    blocking.wait_for_sync()
    assert blocking.whereis("one") == blocking.await_name("one") == counter.process_id
    assert (here.groups("scope").count("counters"), here.presence.count("room")) == (1, 1)
    blocking.unregister("one")
    monitor = blocking.monitor(counter)
    blocking.stop_process(counter, "enough")
    assert next(monitor).text == "enough"
    eventually(lambda: here.groups("scope").count("counters") == 0)
    names = [name for name in blocking.__all__ if hasattr(foundation, name)]
    assert {"monitor", "groups", "presence", "register", "wait_for_sync"} <= set(names)
    assert issubclass(Counter, Process)
