"""Supervisors on a simulated node: who is started again, with whom, in which order and when; and how they end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from foundation import Backoff, Cluster, child, options, spec, supervisor
from foundation.errors import ArgumentError, CallTimeout, NameTakenError, NoSuchNameError, NotDelivered, RemoteError
from foundation.processes import Ended, EndReason, Hook, Process, Supervisor
from foundation.processes.host import Host
from foundation.processes.supervision import Restart, Strategy
from tests.processes.supervision.troupe import ActorFace, Diary, make_actor, on_a_node, pause, states, until

STEADY = Backoff(first_s=1, most_s=8, jitter=0)


async def crash(actor: ActorFace) -> None:
    with pytest.raises(RemoteError, match="crashed"):
        await actor.crash()


async def trio(cluster: Cluster, diary: Diary, **plan: Any) -> Supervisor:
    """Start a supervisor of the three actors a, b and c."""
    cls = make_actor(diary)
    started = await cluster.start_supervisor(*(child(cls, role, name=role) for role in "abc"), **plan)
    assert diary.take() == ["a up", "b up", "c up"]
    return started


@pytest.mark.parametrize(
    ("strategy", "lines"),
    [
        ("one_for_one", ["b up"]),
        ("one_for_all", ["c down", "a down", "a up", "b up", "c up"]),
        ("rest_for_one", ["c down", "b up", "c up"]),
    ],
)
def test_who_goes_down_comes_back_in_order(strategy: Strategy, lines: list[str]) -> None:
    """The group of the child that ended is stopped in reverse and started in order; its names lead to the new ones."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, strategy=strategy)
        before = {info.id: info.process_id for info in await top.children()}
        by_name = cluster.ref(ActorFace, "b")
        assert await by_name.add(2) == 2
        await crash(by_name)
        await until(lambda: len(diary.lines) == len(lines), "the group is back")
        assert diary.take() == lines
        assert await by_name.add(1) == 1
        infos = await top.children()
        back = [role for role in "abc" if f"{role} up" in lines]
        assert [info.id for info in infos if info.restarts == 1] == back
        assert [info.id for info in infos if info.process_id != before[info.id]] == back
        assert [cluster.whereis(role) for role in "abc"] == [info.process_id for info in infos]
        assert infos[1].why == "crashed: ProcessCrash: b crashed"

    on_a_node(story)


@pytest.mark.parametrize(
    ("restart", "after_stop", "after_crash"),
    [("permanent", "running", "running"), ("transient", "stopped", "running"), ("temporary", None, None)],
)
def test_restart_types(restart: Restart, after_stop: str | None, after_crash: str | None) -> None:
    """A child that stops in order or crashes is started again if its type says so; temporary ones are forgotten."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        one, other = (child(cls, role, name=role, restart=restart) for role in "ab")
        sibling = child(cls, "c", name="c")
        top = await cluster.start_supervisor(one, other, sibling)
        await cluster.stop_process(cluster.ref(ActorFace, "a"), "done")
        await crash(cluster.ref(ActorFace, "b"))
        await pause(1)
        expected = {"a": after_stop, "b": after_crash, "c": "running"}
        assert await states(top) == {role: state for role, state in expected.items() if state}
        assert "c down" not in diary.lines

    on_a_node(story)


def test_too_many_restarts_end_the_supervisor(caplog: pytest.LogCaptureFixture) -> None:
    """One restart too many within the period stops the siblings in reverse and ends the supervisor, not in order."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, max_restarts=2, within_s=60, name="top")
        monitor = cluster.monitor(top)
        for times in (1, 2):
            await crash(cluster.ref(ActorFace, "b"))
            await until(lambda times=times: len(diary.lines) == times, "b is back")  # type: ignore[misc]
        await crash(cluster.ref(ActorFace, "b"))
        ended = await monitor
        assert (ended.reason, diary.take()) == (EndReason.CRASHED, ["b up", "b up", "c down", "a down"])
        assert ended.text.startswith("more than 2 restarts within 60 s; at last b ended: crashed")
        assert [cluster.whereis(name) for name in ("a", "b", "c", "top")] == [None] * 4

    with caplog.at_level(logging.ERROR):
        on_a_node(story)
    assert any("gives up" in record.message for record in caplog.records)


def test_restarts_outside_the_period_do_not_count() -> None:
    """A child that ends now and then is started again for ever, and at once, since it ran stably in between."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, max_restarts=1, within_s=5, backoff=STEADY)
        for _ in range(5):
            await crash(cluster.ref(ActorFace, "b"))
            await pause(0.5)
            assert diary.take() == ["b up"]
            await pause(5)
        assert (await top.children())[1].restarts == 5

    on_a_node(story)


def test_restarts_wait_longer_and_longer() -> None:
    """The first restart comes at once, the next after 1 s, 2 s and 4 s; meanwhile the others work."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, max_restarts=9, within_s=60, backoff=STEADY)
        await crash(cluster.ref(ActorFace, "b"))
        await until(lambda: diary.take() == ["b up"], "b is back at once", 0.5)
        for wait_s in (1, 2, 4):
            await crash(cluster.ref(ActorFace, "b"))
            await pause(wait_s - 0.5)
            assert (diary.take(), (await states(top))["b"]) == ([], "restarting")
            assert await cluster.ref(ActorFace, "c").add(0) == 0
            await pause(1)
            assert diary.take() == ["b up"]

    on_a_node(story)


def test_a_failed_start_is_one_more_restart() -> None:
    """A child that cannot come back is tried again with its delays, and each try counts."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, max_restarts=3, within_s=60, strategy="rest_for_one", backoff=STEADY)
        monitor = cluster.monitor(top)
        diary.broken.add("b")
        await crash(cluster.ref(ActorFace, "b"))
        await pause(0.5)
        info = (await top.children())[1]
        assert (info.state, info.why) == ("restarting", "it did not start: LookupError: b is broken")
        assert await states(top) == {"a": "running", "b": "restarting", "c": "restarting"}
        ended = await monitor
        assert (ended.reason, diary.take()) == (EndReason.CRASHED, ["c down", "a down"])

    on_a_node(story)


def test_a_group_starts_when_its_first_can() -> None:
    """Those who went down with a child that could not start follow it, in order, once it can."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        await trio(cluster, diary, max_restarts=9, strategy="one_for_all", backoff=STEADY)
        diary.broken.add("b")
        await crash(cluster.ref(ActorFace, "c"))
        await pause(0.5)
        assert diary.take() == ["b down", "a down", "a up", "a down"]
        diary.broken.clear()
        await pause(1)
        assert diary.take() == ["a up", "b up", "c up"]

    on_a_node(story)


def test_a_first_start_that_fails_stops_the_others() -> None:
    """`start_supervisor` raises what the child raised, and leaves nothing behind."""
    diary = Diary(broken={"c"})

    async def story(cluster: Cluster) -> None:
        with pytest.raises(LookupError, match="c is broken"):
            await trio(cluster, diary, name="top")
        assert diary.take() == ["a up", "b up", "b down", "a down"]
        with pytest.raises(ArgumentError, match="role"):
            await cluster.start_supervisor(child(make_actor(diary), 3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
        assert await cluster.processes() == []
        assert cluster.whereis("top") is None

    on_a_node(story)


def test_a_supervisor_stops_its_children_in_reverse() -> None:
    """A stop waits for each child in turn, and cancels the one that does not stop in its own time."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        clinging = child(spec(cls, "b", clings=True), stop_timeout_s=20)
        top = await cluster.start_supervisor(child(cls, "a"), clinging, child(cls, "c"))
        monitor = cluster.monitor(top)
        diary.take()
        await cluster.stop_process(top)
        assert diary.take() == ["c down", "a down"]
        assert (await monitor).is_normal
        assert await cluster.processes() == []

    on_a_node(story)


@pytest.mark.parametrize("how", ["leaves", "start hangs"])
def test_a_tree_stops_with_its_node(how: str) -> None:
    """Each supervisor stops its children in reverse, below as above, when the node leaves; also while one starts."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        inner = supervisor(child(cls, "b"), child(cls, "c"))
        top = await cluster.start_supervisor(child(cls, "a"), inner, child(cls, "d"))
        diary.take()
        if how == "start hangs":
            diary.hold = asyncio.Event()
            starting = asyncio.ensure_future(top.start_child(child(cls, "e")))
            await until(lambda: diary.take() == ["e starts"], "e starts")
            starting.cancel()
        await cluster.stop()
        assert diary.take() == ["d down", "c down", "b down", "a down"]

    on_a_node(story)


def test_a_failure_climbs_the_tree() -> None:
    """A supervisor that gives up is started again by its own, with all its children."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        inner = supervisor(child(cls, "b", name="b"), child(cls, "c"), max_restarts=0, name="inner")
        top = await cluster.start_supervisor(child(cls, "a"), inner)
        diary.take()
        await crash(cluster.ref(ActorFace, "b"))
        await until(lambda: len(diary.lines) == 3, "the inner tree is back")
        assert diary.take() == ["c down", "b up", "c up"]
        infos = await top.children()
        assert [(info.id, info.restarts) for info in infos] == [("Actor", 0), ("inner", 1)]
        assert (await cluster.ref(Supervisor, "inner").count()).running == 2

    on_a_node(story)


def test_children_end_with_a_supervisor_that_is_cancelled() -> None:
    """No child stays behind, whatever becomes of its supervisor."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        inner = supervisor(child(spec(cls, "a", clings=True)), child(cls, "b"), stop_timeout_s=1)
        top = await cluster.start_supervisor(inner)
        running = cluster._running.host._running
        serial = next(info.process_id for info in await top.children()).serial  # type: ignore[union-attr]
        running[serial]._task.cancel()
        await until(lambda: diary.lines.count("b up") == 2, "the tree is back")
        await pause(10)  # the one that clings is cancelled
        assert len(await cluster.processes()) == 4
        assert diary.take() == ["a up", "b up", "b down", "a up", "b up"]

    on_a_node(story)


def test_children_come_and_go_by_request() -> None:
    """Children are added, stopped, started anew and removed, by their id or process id."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        top = await cluster.start_supervisor()
        one = await top.start_child(child(cls, "one", name="one"))
        assert await one.add(3) == 3
        assert (await top.children())[0].process_id == one.process_id
        other = await top.start_child(child(spec(cls, role="other"), restart="temporary"))
        assert await states(top) == {"one": "running", "Actor": "running"}
        with pytest.raises(NameTakenError, match="one"):
            await top.start_child(child(cls, "one", name="one"))
        await top.terminate(other.process_id)
        await top.terminate("one")
        assert await states(top) == {"one": "stopped"}
        with pytest.raises(NotDelivered):
            await one.add()
        assert await top.restart("one") == cluster.whereis("one")
        await top.remove("one")
        assert await states(top) == {}
        with pytest.raises(NoSuchNameError, match="none"):
            await top.terminate("one")

    on_a_node(story)


def test_a_request_that_fails_is_the_callers() -> None:
    """Who asks for a start is told why it failed: a new child is none then, an old one is stopped; nothing counts."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        top = await cluster.start_supervisor(child(cls, "one", name="one"), max_restarts=0)
        diary.broken.add("one")
        with pytest.raises(LookupError, match="broken"):
            await top.restart("one")
        count = await top.count()
        assert (count.children, count.running, count.restarting, count.stopped) == (1, 0, 0, 1)
        with pytest.raises(LookupError):
            await top.start_child(child(cls, "one"))
        assert await states(top) == {"one": "stopped"}

    on_a_node(story)


def test_who_waits_no_longer_for_a_start_breaks_nothing() -> None:
    """A call that runs out takes a new child back, and lets a known one start in its own time."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        cls = make_actor(diary)
        top = await cluster.start_supervisor(child(cls, "b", name="b"))
        diary.hold = asyncio.Event()
        with pytest.raises(CallTimeout):
            await options(top, timeout_s=0.5).start_child(child(cls, "c", name="c"))
        with pytest.raises(CallTimeout):
            await options(top, timeout_s=0.5).restart("b")
        await pause(0.1)
        assert await states(top) == {"b": "restarting"}
        diary.hold.set()
        await pause(0.1)
        assert await states(top) == {"b": "running"}
        assert [info.name for info in await cluster.processes()] == [None, "b"]

    on_a_node(story)


def test_who_waits_no_longer_for_a_stop_breaks_nothing() -> None:
    """A child that takes longer to stop than its caller waits is not started before it has ended."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        clinging = child(spec(make_actor(diary), "a", clings=True), name="a", stop_timeout_s=3)
        top = await cluster.start_supervisor(clinging)
        hasty = options(top, timeout_s=0.5)
        diary.take()
        for request in (hasty.terminate, hasty.restart):
            with pytest.raises(CallTimeout):
                await request("a")
            assert (diary.take(), len(await cluster.processes())) == ([], 2), "it still stops"
        await pause(3)
        assert (diary.take(), await states(top)) == (["a up"], {"a": "running"})

    on_a_node(story)


def test_a_child_that_was_stopped_stays_so() -> None:
    """What was terminated is not started with its group, and needs no restart of its own."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, strategy="one_for_all")
        await top.terminate("a")
        await crash(cluster.ref(ActorFace, "b"))
        await until(lambda: "c up" in diary.lines, "the group is back")
        assert await states(top) == {"a": "stopped", "b": "running", "c": "running"}

    on_a_node(story)


def test_a_name_that_another_has_is_waited_for() -> None:
    """A child whose name was taken meanwhile is tried again until it is free, and nobody gives up for it."""
    diary = Diary()

    async def story(cluster: Cluster) -> None:
        top = await trio(cluster, diary, max_restarts=1, within_s=100, backoff=STEADY)
        await top.terminate("b")
        squatter = await cluster.start_process(ActorFace, "squatter", name="b")
        host = cluster._running.host
        slot = host._running[top.process_id.serial]._instance._slots["b"]  # type: ignore[attr-defined]
        gone = Ended(host.node_id, None, EndReason.LOST_NAME, "to the squatter")
        host.tell(top.process_id.serial, _hook(slot, gone))
        await pause(60)
        assert (await states(top))["b"] == "restarting"
        await cluster.stop_process(squatter)
        await pause(10)
        assert (await states(top))["b"] == "running"

    on_a_node(story)


def _hook(slot: Any, ended: Ended) -> Any:
    slot.rests("running", "")
    return Hook("handle_ended", lambda process: process.handle_ended(ended))


async def test_a_tree_is_data(here: Host, target: Host) -> None:
    """It is started near and far, with references among the arguments, and adds children from afar."""
    adder = await here.start(ActorFace, ("adder",))
    tree = supervisor(child(ActorFace, "a"), supervisor(child(Asking, adder, {"n": 2}), name="inner"))
    top = await here.start_on(target.node_id, Supervisor, tree.args)
    assert [info.process_id.node for info in await top.children() if info.process_id] == [target.node_id] * 2
    asking = await top.start_child(child(Asking, adder, {"n": 3}))
    assert await asking.ask() == 3
    inner = here.ref(Supervisor, "inner")
    assert [info.wire_name.rpartition(":")[2] for info in await inner.children()] == ["Asking"]
    await here.stop(top.process_id)
    assert target.process_count == (1 if target is here else 0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: child(ActorFace, "a", restart="always"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: child(ActorFace, "a", stop_timeout_s=0),
        lambda: child(int),
        lambda: supervisor(strategy="all"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: supervisor(within_s=-1),
        lambda: supervisor(max_restarts=-1),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: Any) -> None:
    """A wrong word is an error where it is written."""
    with pytest.raises(TypeError):
        wrong()


class Asking(Process):
    """Asks another one."""

    def __init__(self, actor: ActorFace, numbers: dict[str, int]) -> None:
        self._actor = actor
        self._numbers = numbers

    async def ask(self) -> int:
        return await self._actor.add(self._numbers["n"])


class Plain(Process):
    """Lives with the default class of errors."""

    async def fail(self) -> None:
        message = "the caller's"
        raise LookupError(message)


def test_an_error_of_a_handler_restarts_nobody() -> None:
    """It belongs to the caller: the child lives on."""

    async def story(cluster: Cluster) -> None:
        top = await cluster.start_supervisor(child(Plain, name="plain"))
        with pytest.raises(LookupError):
            await cluster.ref(Plain, "plain").fail()
        await pause(1)
        assert [info.restarts for info in await top.children()] == [0]

    on_a_node(story)
