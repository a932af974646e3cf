"""Calls and casts: results, errors, time limits, cancellation; the same near and far."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import msgspec
import pytest

from foundation.core.channels import Channel
from foundation.core.context import NO_CONTEXT, call_context
from foundation.core.identity import NodeId, ProcessId
from foundation.errors import (
    ArgumentError,
    CallTimeout,
    CodecError,
    NodeDown,
    NoSuchProcessError,
    NotDelivered,
    NotRunningError,
    Overloaded,
    RemoteError,
)
from foundation.processes.calling.verbs import cast, options, send
from foundation.processes.decorators import concurrent
from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from foundation.processes.process import Process
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.samples import Counter, Line, Order
from tests.processes.waiting import until


class OutOfStock(Exception):  # noqa: N818
    """Takes what no stranger could give it."""

    def __init__(self, *, item: str, left: int) -> None:
        super().__init__(f"{item}: {left} left")
        self.item = item
        self.left = left


class UnluckyError(Exception):
    """Raised for thirteen."""


class Gate:
    """Shows when a handler waits, when it was cancelled, and lets it go on."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.seen: list[Any] = []

    async def wait(self) -> None:
        self.waiting.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def make_gated(gate: Gate) -> type[Any]:  # noqa: C901 - one class that can do all
    """Make a class whose methods wait at a gate in the test's own loop."""

    class Gated(Process):
        async def wait(self) -> str:
            await gate.wait()
            return "done"

        @concurrent
        async def wait_aside(self) -> str:
            await gate.wait()
            return "done"

        async def note(self, value: int) -> int:
            gate.seen.append(value)
            return value

        async def stubborn(self) -> str:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                gate.seen.append("stayed")
            return "late"

        async def left_s(self) -> float | None:
            deadline = call_context.get().deadline
            return None if deadline is None else deadline - asyncio.get_running_loop().time()

        async def nested(self, other: Any, timeout_s: float) -> str:
            gate.seen.append(call_context.get())
            answer: str = await options(other, timeout_s=timeout_s).wait()
            return answer

        async def handle_message(self, message: Line | Order | int) -> None:
            if message == 13:
                raise UnluckyError
            gate.seen.append(message)

        async def stopping(self, reason: str) -> None:
            gate.seen.append(reason)

    return Gated


def make_local_error() -> Exception:
    class LocalError(Exception): ...

    return LocalError()


class Failing(Process):
    async def fail(self, kind: str) -> None:
        if kind == "own":
            raise OutOfStock(item="tea", left=2)
        if kind == "local":
            raise make_local_error()
        if kind == "state":
            error = ValueError("with state", 2)
            error.extra = [1]  # type: ignore[attr-defined]
            raise error
        if kind == "unencodable":
            raise LookupError(object())
        raise {
            "key": KeyError("k"),
            "os": FileNotFoundError(2, "gone", "f.txt"),
            "unicode": UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
            "timeout": TimeoutError("slow"),
            "exit": SystemExit(3),
            "interrupt": KeyboardInterrupt(),
            "cancelled": asyncio.CancelledError(),
            "nested": NotDelivered("of a call in the handler"),
            "stop": StopAsyncIteration("x"),
            "group": ExceptionGroup("many", [ValueError("a")]),
            "argument": ArgumentError("wrong"),
        }[kind]

    async def wrong_result(self) -> int:
        return "no number"  # type: ignore[return-value]

    async def no_result(self) -> Any:
        return object()


async def test_calls_change_the_one_process(here: Host, target: Host) -> None:
    """All references to a process reach the same state, and each call gives its result."""
    counter = await here.start_on(target.node_id, Counter, (5,))
    again = here.reference(Counter, counter.process_id)
    assert await counter.add(2) == 7
    assert await again.add() == 8


async def test_calls_are_handled_in_order_one_at_a_time(here: Host, target: Host) -> None:
    """Messages of one sender are handled in the order in which they were sent, calls and casts alike."""
    gate = Gate()
    gated = await here.start_on(target.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(gated.wait())
        await gate.waiting.wait()
        rest = [group.create_task(gated.note(n)) for n in range(0, 200, 2)]
        await asyncio.sleep(0)
        for n in range(1, 200, 2):
            await cast(gated.note, n)
        assert gate.seen == []
        gate.open.set()
    assert first.result() == "done"
    assert [task.result() for task in rest] == list(range(0, 200, 2))
    await gated.note(200)
    assert gate.seen == [*range(0, 200, 2), *range(1, 200, 2), 200]


@pytest.mark.parametrize(
    ("kind", "error_type"),
    [
        ("own", OutOfStock),
        ("state", ValueError),
        ("key", KeyError),
        ("os", FileNotFoundError),
        ("unicode", UnicodeDecodeError),
        ("timeout", TimeoutError),
        ("unencodable", LookupError),
        ("argument", ArgumentError),
    ],
)
async def test_errors_arrive_as_themselves(kind: str, error_type: type[Exception], here: Host, target: Host) -> None:
    """A handler's error has its own type at the caller, with the remote traceback as text in its cause."""
    failing = await here.start_on(target.node_id, Failing)
    with pytest.raises(error_type) as caught:
        await failing.fail(kind)
    cause = caught.value.__cause__
    assert type(caught.value) is error_type
    assert isinstance(cause, RemoteError)
    assert "in fail" in cause.remote_traceback
    assert cause.error_type.endswith(error_type.__name__)


async def test_errors_keep_their_state(here: Host, there: Host) -> None:
    """Arguments and attributes of an error arrive, without its constructor being run."""
    failing = await here.start_on(there.node_id, Failing)
    with pytest.raises(OutOfStock) as own:
        await failing.fail("own")
    assert (own.value.item, own.value.left, str(own.value)) == ("tea", 2, "tea: 2 left")
    with pytest.raises(ValueError, match="with state") as state:
        await failing.fail("state")
    assert state.value.args == ("with state", 2)
    assert state.value.extra == [1]  # type: ignore[attr-defined]
    with pytest.raises(FileNotFoundError) as missing:
        await failing.fail("os")
    assert (missing.value.errno, missing.value.filename) == (2, "f.txt")


@pytest.mark.parametrize("kind", ["local", "exit", "interrupt", "cancelled", "nested", "stop", "group"])
async def test_other_errors_are_remote_errors(
    kind: str, here: Host, target: Host, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot or must not be raised as itself is a RemoteError, and the process and its node live on.

    A CallError of the handler is about a call that the handler made: as itself it would say that *this* call was not
    delivered.
    """
    caplog.set_level(logging.CRITICAL)
    failing = await here.start_on(target.node_id, Failing)
    with pytest.raises(RemoteError) as caught:
        await failing.fail(kind)
    assert type(caught.value) is RemoteError
    assert "fail" in caught.value.remote_traceback
    with pytest.raises(KeyError):
        await failing.fail("key")


async def test_unknown_error_types_are_not_imported(here: Host, there: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The type of an error is looked up among imported modules only; nothing is imported for it."""
    failing = await here.start_on(there.node_id, Failing)
    monkeypatch.setattr(OutOfStock, "__module__", "turtle")
    sys.modules.pop("turtle", None)
    with pytest.raises(RemoteError, match="OutOfStock") as caught:
        await failing.fail("own")
    assert caught.value.error_type == "turtle:OutOfStock"
    assert "turtle" not in sys.modules


async def test_results_that_do_not_fit(here: Host, target: Host) -> None:
    """A result that breaks its annotation, or cannot travel, is an error for the caller and for nobody else."""
    failing = await here.start_on(target.node_id, Failing)
    with pytest.raises(CodecError, match="Expected `int`"):
        await failing.wrong_result()
    with pytest.raises(TypeError, match=r"Failing\.no_result .*cannot travel"):
        await failing.no_result()


async def test_nobody_there(here: Host, target: Host) -> None:
    """A call to a process that does not exist says so, and that it was surely not executed."""
    counter = await here.start_on(target.node_id, Counter)
    await here.stop(counter.process_id, "no longer needed")
    with pytest.raises(NoSuchProcessError) as caught:
        await counter.add(1)
    assert isinstance(caught.value, NotDelivered)
    await cast(counter.add, 1)
    await until(lambda: target.dropped_casts == 1, "the cast is counted as dropped")


async def test_nodes_that_are_no_members(here: Host, there: Host, network: Network) -> None:
    """A call to a node that is not a member fails at once with NotDelivered."""
    counter = await here.start_on(there.node_id, Counter)
    network.members.discard(there.node_id)
    with pytest.raises(NotDelivered):
        await counter.add(1)
    with pytest.raises(NotDelivered):
        await cast(counter.add, 1)
    assert len(here.calls) == 0


async def test_methods_that_are_not_there(here: Host, there: Host) -> None:
    """Hooks, private and unknown methods cannot be called, even by a node that sends such a frame."""
    counter = await here.start_on(there.node_id, Counter)

    class Other(Process, wire_name="acme.Other"):
        async def started(self) -> None: ...

        async def missing(self) -> None: ...

    with pytest.raises(NotDelivered, match="no method 'missing'"):
        await here.reference(Other, counter.process_id).missing()
    for name in ("started", "stopping", "handle_message", "__init__", "_get_seat", "reference"):
        pending = here.calls.begin(counter.process_id, name, b"\x90", None, 1.0, Channel.EVENTS)
        outcome: Any = await pending.answer
        assert not outcome.by_handler


async def test_time_out(here: Host, target: Host) -> None:
    """A call without an answer in time ends with CallTimeout, and its handler is cancelled; the process goes on."""
    gate = Gate()
    gated = await here.start_on(target.node_id, make_gated(gate))
    with pytest.raises(CallTimeout) as caught:
        await options(gated, timeout_s=0.02).wait()
    assert isinstance(caught.value, TimeoutError)
    await gate.cancelled.wait()
    assert await gated.note(1) == 1
    assert len(here.calls) == 0


async def test_a_call_that_came_too_late_is_a_time_out(here: Host, there: Host, network: Network) -> None:
    """Whichever side notices that the time of a call is up, it ends with CallTimeout."""
    gate = Gate()
    gated = await there.start(make_gated(gate))
    answers: list[bytes] = []
    network.passes = lambda _source, target, frame: target != here.node_id or answers.append(frame) is not None
    late = [1, 5, gated.process_id.serial, "note", -1, [1], None]
    there.receive(here.node_id, msgspec.msgpack.encode([late]))
    await until(lambda: bool(answers), "the answer")
    fault = msgspec.msgpack.decode(answers[0])
    assert fault[:4] == [5, 5, False, "foundation.errors:CallTimeout"]
    assert gate.seen == []


async def test_a_late_answer_is_ignored(here: Host, there: Host) -> None:
    """A handler that refuses to be cancelled harms nobody: its answer comes too late and is ignored."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    with pytest.raises(CallTimeout):
        await options(gated, timeout_s=0.02).stubborn()
    await until(lambda: gate.seen == ["stayed"], "the handler caught its cancellation")
    assert await gated.note(2) == 2


@pytest.mark.parametrize("method", ["wait", "wait_aside"])
async def test_cancelling_a_call_cancels_its_handler(method: str, here: Host, target: Host) -> None:
    """A cancelled caller goes on at once, and the handler over there is cancelled."""
    gate = Gate()
    gated = await here.start_on(target.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(getattr(gated, method)())
        await gate.waiting.wait()
        call.cancel()
        await asyncio.wait([call])
    assert call.cancelled()
    await gate.cancelled.wait()
    assert await gated.note(1) == 1


async def test_cancelling_returns_at_once_when_the_peer_is_gone(here: Host, there: Host, network: Network) -> None:
    """A cancelled caller does not wait for a peer that says nothing any more."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        call = group.create_task(options(gated, timeout_s=None).wait())
        await gate.waiting.wait()
        network.passes = lambda *_: False
        call.cancel()
        await asyncio.wait([call], timeout=5)
    assert call.cancelled()
    assert len(here.calls) == 0
    network.passes = lambda *_: True
    gate.open.set()


async def test_a_cancelled_call_that_waits_is_not_executed(here: Host, there: Host) -> None:
    """A call that is cancelled while it waits in the mailbox is never handled."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        group.create_task(gated.wait())
        await gate.waiting.wait()
        waits = group.create_task(gated.note(1))
        await until(lambda: there.processes()[0].mailbox_length == 1, "the call waits")
        waits.cancel()
        await asyncio.wait([waits])
        after = group.create_task(gated.note(2))
        gate.open.set()
        await after
    assert gate.seen == [2]


async def test_nested_calls_inherit_the_deadline(here: Host, there: Host) -> None:
    """A call made by a handler has at most the time that the handler's own caller has left."""
    gate = Gate()
    gated = make_gated(gate)
    outer, inner = await here.start_on(there.node_id, gated), await here.start(gated)
    with pytest.raises(CallTimeout):
        await options(outer, timeout_s=0.05).nested(inner, 60.0)
    await gate.cancelled.wait()
    deadline = gate.seen[0].deadline
    assert deadline is not None
    assert deadline - asyncio.get_running_loop().time() < 1


async def test_a_shorter_own_limit_holds(here: Host, there: Host) -> None:
    """The smaller limit wins: a nested call may give up earlier than its caller's deadline."""
    gate = Gate()
    gated = make_gated(gate)
    outer, inner = await here.start_on(there.node_id, gated), await here.start(gated)
    with pytest.raises(RemoteError, match="CallTimeout"):
        await options(outer, timeout_s=60.0).nested(inner, 0.02)


async def test_context_does_not_leak(here: Host) -> None:
    """A deadline belongs to one call: casts, later calls without one and the caller itself have none."""
    gated = await here.start(make_gated(Gate()))
    left = await options(gated, timeout_s=30.0).left_s()
    assert left is not None
    assert 0 < left <= 31
    assert await options(gated, timeout_s=None).left_s() is None
    assert call_context.get() is NO_CONTEXT


async def test_a_full_mailbox_refuses(start_host: StartHost, here: Host) -> None:
    """What finds a full mailbox is refused as surely not executed; casts are counted as dropped."""
    gate = Gate()
    there = await start_host(ProcessOptions(mailbox_capacity=2, mailbox_overflow_bytes=0))
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        group.create_task(gated.wait())
        await gate.waiting.wait()
        waiting = [group.create_task(gated.note(n)) for n in range(2)]
        await until(lambda: there.processes()[0].mailbox_length == 2, "the mailbox is full")
        with pytest.raises(Overloaded, match="full"):
            await gated.note(2)
        await cast(gated.note, 3)
        await until(lambda: there.dropped_casts == 1, "the cast is dropped")
        gate.open.set()
        assert await asyncio.gather(*waiting) == [0, 1]
    assert gate.seen == [0, 1]


@pytest.mark.parametrize("far", [False, True])
async def test_a_burst_of_casts_is_not_lost(far: bool, start_host: StartHost) -> None:
    """Casts in a loop that waits for nothing else reach a process that keeps up, however many they are."""
    here = await start_host(ProcessOptions(mailbox_capacity=1_000))
    there = await start_host(ProcessOptions(mailbox_capacity=1_000)) if far else here
    counter = await here.start_on(there.node_id, Counter)
    for _ in range(5_000):
        await cast(counter.add, 1)
    assert await counter.add(0) == 5_000


async def test_concurrent_calls_are_bounded(start_host: StartHost, here: Host) -> None:
    """A process runs a bounded number of concurrent calls at once."""
    gate = Gate()
    there = await start_host(ProcessOptions(aside_capacity=1))
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        group.create_task(gated.wait_aside())
        await gate.waiting.wait()
        with pytest.raises(Overloaded):
            await gated.wait_aside()
        assert await gated.note(1) == 1
        gate.open.set()


async def test_node_down_ends_calls(here: Host, there: Host, network: Network) -> None:
    """When a node goes down, calls that wait for it end with NodeDown: nobody knows what it did."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(_outcome(gated.wait()))
        await gate.waiting.wait()
        network.down(there.node_id)
        assert isinstance(await waits, NodeDown)
    assert len(here.calls) == 0
    gate.open.set()


async def test_node_down_cancels_what_runs_for_it(here: Host, there: Host) -> None:
    """What a node runs on behalf of callers that are gone is cancelled."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(_outcome(options(gated, timeout_s=0.5).wait()))
        await gate.waiting.wait()
        there.node_down(here.node_id)
        await gate.cancelled.wait()
        waits.cancel()


async def _outcome(call: Any) -> Any:
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - the error is the outcome
        return error


async def test_answers_count_only_from_who_was_asked(here: Host, there: Host, start_host: StartHost) -> None:
    """A third node can neither answer nor cancel somebody else's call."""
    gate = Gate()
    gated = await here.start_on(there.node_id, make_gated(gate))
    stranger = await start_host()
    encode = here.codec.encode
    async with asyncio.TaskGroup() as group:
        call = group.create_task(gated.wait())
        await gate.waiting.wait()
        for number in range(1, 10):
            here.receive(stranger.node_id, encode([[4, number, "forged"], [5, number, True, "a:b", "x"], [9, number]]))
            there.receive(stranger.node_id, encode([[6, number]]))
        await asyncio.sleep(0)
        assert not call.done()
        gate.open.set()
        assert await call == "done"


async def test_casts_report_errors_to_the_log(here: Host, target: Host, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a cast or a plain message is logged with the process's name, and the process goes on."""
    gate = Gate()
    failing = await here.start_on(target.node_id, Failing, name="shop")
    gated = await here.start_on(target.node_id, make_gated(gate), name="gate")
    await cast(failing.fail, "key")
    await send(gated, 13)
    await send(gated, 14)
    await until(lambda: gate.seen == [14], "the message after the bad one is handled")
    await until(lambda: len(caplog.records) >= 2, "both errors are logged")
    text = caplog.text
    assert "Failing shop failed in Failing.fail" in text
    assert "Gated gate failed in Gated.handle_message" in text
    assert "UnluckyError" in text


async def test_messages_arrive_as_their_classes(here: Host, target: Host) -> None:
    """A plain message arrives as the class that was sent, also where `handle_message` takes a union of them."""
    gate = Gate()
    gated = await here.start_on(target.node_id, make_gated(gate))
    messages = [Line("tea", 2), Order(7, [Line("milk")]), 5]
    for message in messages:
        await send(gated, message)
    await gated.note(0)
    assert gate.seen == [*messages, 0]
    with pytest.raises(ArgumentError, match=r"Gated\.handle_message"):
        _ = send(gated, "text")


async def test_messages_that_nobody_expects(here: Host, caplog: pytest.LogCaptureFixture) -> None:
    """A process without `handle_message` logs what it gets, and lives on."""
    counter = await here.start(Counter)
    await send(counter, {"unexpected": 1})
    assert await counter.add(1) == 1
    assert "Counter got a message" in caplog.text


async def test_cast_needs_a_method_of_a_reference(here: Host) -> None:
    """Only a method of a reference can be cast to, and no stream."""
    counter = await here.start(Counter)
    with pytest.raises(ArgumentError, match="method of a reference"):
        _ = cast(_outcome, 1)
    with pytest.raises(ArgumentError, match="is a stream"):
        _ = cast(counter.count_to, 1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"Counter\.add: argument 'n'"):
        _ = cast(counter.add, "x")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected a reference"):
        _ = send("counter", 1)


async def test_a_process_casts_to_itself(here: Host) -> None:
    """Within a process `cast(self.method)` puts the call behind what waits already."""

    class Selfish(Process):
        def __init__(self) -> None:
            self.steps: list[str] = []

        async def begin(self) -> None:
            await cast(self.step, "cast")
            await self.step("direct")

        async def step(self, name: str) -> None:
            self.steps.append(name)

        async def seen(self) -> list[str]:
            return self.steps

    selfish = await here.start(Selfish)
    await selfish.begin()
    assert await selfish.seen() == ["direct", "cast"]


async def test_after_the_end(start_host: StartHost, network: Network) -> None:
    """A reference of a host that was stopped says that its node is stopped."""
    wire_host = await start_host()
    counter = await wire_host.start(Counter)
    await wire_host.__aexit__(None, None, None)
    with pytest.raises(NotRunningError):
        await counter.add(1)
    with pytest.raises(NotRunningError):
        await wire_host.start(Counter)
    network.members.discard(wire_host.node_id)


async def test_unknown_serials(here: Host) -> None:
    """An identity that nobody has finds nobody."""
    nobody = here.reference(Counter, ProcessId(here.node_id, 999))
    with pytest.raises(NoSuchProcessError):
        await nobody.add(1)
    stranger = here.reference(Counter, ProcessId(NodeId("f" * 32), 1))
    with pytest.raises(NotDelivered):
        await stranger.add(1)
