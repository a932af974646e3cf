"""Calls, streams, events and messages from threads, through the public face."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

import foundation
from foundation import blocking
from foundation.errors import ArgumentError, CallTimeout, NameTakenError, NotDelivered, NotRunningError, RemoteError
from tests.blocking.conftest import StartNodes
from tests.blocking.samples import NOTHING, Counter, Note
from tests.blocking.threads import WITHIN_S, eventually, in_thread


def test_a_process_works_the_same_near_and_far(start_nodes: StartNodes) -> None:
    """Calls, casts, streams and messages to a process on this node and on another one do the same."""
    here, there = start_nodes("here", "there")
    for node in (here.node, there.node, "there", there.node.node_id):
        counter = here.start_process(Counter, 5, node=node)
        assert counter.add(2) == 7
        blocking.cast(counter.add, 3)
        assert counter.add(n=1) == 11
        assert list(counter.watch()) == [11, 12, 13]
        here.send(counter, Note("first"))
        assert counter.noted() == ["first"]


def test_what_is_checked_runs_the_same(start_nodes: StartNodes) -> None:
    """`call`, `cast`, `run` and `iterate` take the methods of the reference for async code, and what they make."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, 5, node=there.node)
    assert blocking.call(counter.reference.add, 2) == 7
    assert blocking.call(counter.add, 1) == 8
    blocking.cast(counter.reference.add, 2)
    assert here.run(counter.reference.add()) == 11
    assert list(blocking.call(counter.reference.watch)) == list(here.iterate(counter.reference.watch())) == [11, 12, 13]


def test_references_stay_blocking_wherever_they_are(start_nodes: StartNodes) -> None:
    """A blocking reference is a legal argument, and results hold blocking ones, within other values too."""
    here, there = start_nodes("here", "there")
    one = here.start_process(Counter, 1, node=there.node)
    other = here.start_process(Counter, 40)
    assert one.ask(other, 2) == other.add(0) == 42
    pair = one.pair(other)
    assert pair.one == one == one.twin()
    assert len({one, one.reference}) == 1
    assert pair.one.add(1) == 2
    assert pair.others[0].add(1) == 43
    assert here.blocking(blocking.call(one.reference.twin)).add(1) == 3


def test_a_name_leads_to_its_process(start_nodes: StartNodes) -> None:
    """A named process is found from each node, no second one gets the name, and stopping it frees the name."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(foundation.spec(Counter, start=1), name="count", node=there.node)
    assert there.ref(Counter, "count").add(1) == here.ref(Counter, "count").add(0) == 2
    here.send("count", Note("to a name"))
    assert counter.noted() == ["to a name"]
    with pytest.raises(NameTakenError, match="count"):
        here.start_process(Counter, name="count")
    here.stop_process(counter)
    with pytest.raises(NotDelivered):
        counter.add(1)
    here.start_process(Counter, 10, name="count")
    assert there.ref(Counter, "count").add(1) == 11


def test_an_error_over_there_is_the_same_error_here(start_nodes: StartNodes) -> None:
    """The caller gets the type, the arguments and the remote traceback of what a handler or a stream raised."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node=there.node)
    with pytest.raises(LookupError) as raised:
        counter.fail()
    assert raised.value.args == NOTHING
    assert isinstance(raised.value.__cause__, RemoteError)
    assert "in fail" in raised.value.__cause__.remote_traceback
    seen: list[int] = []
    with pytest.raises(LookupError):
        seen.extend(counter.breaks())
    broken = counter.breaks()
    assert next(broken) == 1
    with pytest.raises(LookupError):
        next(broken)
    assert list(broken) == []


def test_a_wrong_argument_fails_at_the_caller(start_nodes: StartNodes) -> None:
    """An argument that does not fit is refused before anything is sent, naming the parameter."""
    (here,) = start_nodes("here")
    counter = here.start_process(Counter)
    with pytest.raises(ArgumentError, match=r"Counter\.add.*'n'.*int.*str"):
        counter.add("x")
    with pytest.raises(ArgumentError, match="start"):
        here.start_process(Counter, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(AttributeError, match="state of the process"):
        _ = counter.value


def test_a_call_ends_in_time(start_nodes: StartNodes) -> None:
    """A call without an answer ends with CallTimeout when its time is up."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node=there.node)
    with pytest.raises(CallTimeout):
        blocking.options(counter, timeout_s=0.05).never()
    assert blocking.options(counter, timeout_s=None).add(1) == 1


def test_leaving_a_loop_closes_the_generator(start_nodes: StartNodes) -> None:
    """`break`, `close` and the end of a `with` each close the generator over there, on the same node and far."""
    here, there = start_nodes("here", "there")
    for node in (here.node, there.node):
        counter = here.start_process(Counter, node=node)
        for value in counter.endless():
            assert value == 0
            break
        assert Counter.cancelled.acquire(timeout=WITHIN_S)
        with counter.endless() as values:
            assert next(values) == 0
        assert Counter.cancelled.acquire(timeout=WITHIN_S)
        assert list(values) == []
        values.close()


def test_a_long_stream_is_whole(start_nodes: StartNodes) -> None:
    """Items beyond what is read ahead arrive all, once and in order."""
    here, there = start_nodes("here", "there")
    counter = here.start_process(Counter, node=there.node)
    assert list(counter.watch(2_000)) == list(range(2_000))


def test_events_are_iterated_and_end_with_the_cluster(start_nodes: StartNodes) -> None:
    """`events()` tells who is up and who leaves, to a thread that waits; it ends when it is closed or the cluster."""
    here, there = start_nodes("here", "there")
    with here.events() as events:
        assert isinstance(next(events), foundation.MemberUp)
        there.stop()
        assert any(isinstance(event, foundation.MemberLeft) for event in events)
    assert list(events) == []
    ending = in_thread(lambda: list(here.events()))
    here.stop()
    assert ending.result(WITHIN_S) == []


def test_many_threads_call_at_once(start_nodes: StartNodes) -> None:
    """Calls of 16 threads at once are each done exactly once, and each thread gets its own answers."""
    here, there = start_nodes("here", "there")
    shared = here.start_process(Counter, node=there.node)
    barrier = threading.Barrier(16)

    def work() -> list[int]:
        mine = here.start_process(Counter, node=foundation.ANY)
        barrier.wait(WITHIN_S)
        return [shared.add(1) * 0 + mine.add(1) for _ in range(100)]

    outcomes = [in_thread(work) for _ in range(16)]
    assert all(outcome.result(WITHIN_S) == list(range(1, 101)) for outcome in outcomes)
    assert shared.add(0) == 1600


def test_the_module_calls_act_on_the_one_cluster(start_nodes: StartNodes) -> None:
    """The module-level calls are those of the one cluster that runs; with two, or none, they say so."""
    with pytest.raises(NotRunningError, match="no cluster runs"):
        blocking.members()
    here, there = start_nodes("here", "there")
    with pytest.raises(NotRunningError, match="2 clusters"):
        blocking.cluster_info()
    gone = there.start_process(Counter)
    there.stop()
    eventually(lambda: len(here.members()) == 1)
    counter = blocking.start_process(Counter, 5, name="count")
    assert blocking.current_cluster() is here
    assert blocking.ref(Counter, "count").add(2) == 7
    blocking.send(counter, Note("x"))
    blocking.stop_process(counter)
    with blocking.events() as events:
        assert events is not None
    assert blocking.members() == [here.node]
    assert blocking.cluster_info().nodes == 1
    assert here.processes() == []
    with pytest.raises(NotRunningError):
        gone.add(1)


WHOSE: ContextVar[str] = ContextVar("WHOSE", default="nobody")


def test_work_runs_in_the_context_of_its_thread(start_nodes: StartNodes) -> None:
    """Context variables of the calling thread, such as those of a trace, are seen on the loop."""

    async def whose() -> str:
        return WHOSE.get()

    (here,) = start_nodes("here")
    token = WHOSE.set("mine")
    assert here.run(whose()) == "mine"
    WHOSE.reset(token)
    assert here.run(whose()) == "nobody"


def test_a_supervisor_works_from_threads(start_nodes: StartNodes) -> None:
    """A tree is started, asked and changed near and far; the references of its children block too."""
    here, there = start_nodes("here", "there")
    for node in (here.node, there.node):
        top = here.start_supervisor(foundation.child(Counter, 5), strategy="one_for_all", node=node)
        assert [info.state for info in top.children()] == ["running"]
        assert top.start_child(foundation.child(Counter, 40)).add(2) == 42
        top.terminate("Counter")
        assert (top.count().running, top.count().stopped) == (1, 1)
        here.stop_process(top)
    assert (here.processes(), there.processes()) == ([], [])
