"""References: equal, typed, honest about what they cannot do, and at home where they arrive."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import pytest

from foundation.core.identity import NodeId, ProcessId
from foundation.errors import (
    ArgumentError,
    CallTimeout,
    CodecError,
    NodeDown,
    NoSuchNameError,
    NoSuchProcessError,
    ProcessDefinitionError,
)
from foundation.processes.calling.verbs import options
from foundation.processes.host import Host
from foundation.processes.process import Process
from tests.processes.memory_wire import Network
from tests.processes.samples import Adds, Counter, Echo, Order


@runtime_checkable
class Checkable(Protocol):
    async def add(self, n: int = ...) -> int: ...


@dataclass
class Good:
    adder: Checkable


@dataclass
class Bad:
    adder: Adds


class Shop(Process):
    LIMIT: ClassVar[int] = 3
    total = 0

    class Item:
        """A nested class."""

    async def sell(self) -> int:
        """Sell one."""
        self.total += 1
        return self.total

    @staticmethod
    def double(n: int) -> int:
        return 2 * n

    @classmethod
    def kind(cls) -> str:
        return cls.__name__

    async def _secret(self) -> None: ...


async def test_equality_and_hash(here: Host, there: Host) -> None:
    """References are equal exactly when they mean the same process, whatever host, class or options they have."""
    one, two = await here.start(Counter), await here.start(Counter)
    from_there = there.reference(Counter, one.process_id)
    assert one == from_there
    assert one == options(one, timeout_s=1)
    assert one == here.reference(Adds, one.process_id)
    assert one != two
    assert one != "counter"
    assert len({one, from_there, two}) == 2
    assert here.ref(Counter, "a") == there.ref(Counter, "a") != here.ref(Counter, "b")


async def test_a_reference_passes_for_its_class(here: Host) -> None:
    """`isinstance` agrees with the type checker."""
    counter = await here.start(Counter)
    assert isinstance(counter, Counter)
    assert isinstance(counter, Process)
    assert not isinstance(counter, Shop)
    assert counter.__class__ is Counter
    assert repr(counter) == f"<reference to Counter {counter.process_id}>"
    assert repr(here.ref(Counter, "tea")) == "<reference to Counter 'tea'>"
    assert counter.reference is counter


async def test_state_is_not_there(here: Host) -> None:
    """Reading or writing state through a reference says where the state is and what to do."""
    counter = await here.start(Counter)
    with pytest.raises(AttributeError, match=r"Counter\.value is state of the process over there.*async method"):
        _ = counter.value
    with pytest.raises(AttributeError, match="state of the process over there"):
        counter.value = 3
    shop = await here.start(Shop)
    for name in ("total", "LIMIT"):
        with pytest.raises(AttributeError, match="state of the process"):
            getattr(shop, name)
    with pytest.raises(AttributeError, match="private"):
        _ = shop._secret
    with pytest.raises(AttributeError, match="own node"):
        _ = shop.started


async def test_what_belongs_to_the_class_is_there(here: Host) -> None:
    """Static and class methods and nested classes need no process, so a reference has them."""
    shop = await here.start(Shop)
    assert shop.double(2) == 4
    assert shop.kind() == "Shop"
    assert shop.Item is Shop.Item
    assert shop.sell.__doc__ == "Sell one."
    assert shop.sell.__name__ == "sell"


async def test_references_are_not_copied_or_pickled(here: Host) -> None:
    """A copy of a reference is the reference; to pickle one is refused with what to do instead."""
    counter = await here.start(Counter)
    assert copy.copy(counter) is counter
    assert copy.deepcopy([counter])[0] is counter
    with pytest.raises(TypeError, match="send it as an argument"):
        pickle.dumps(counter)


async def test_references_as_arguments_results_and_fields(here: Host, target: Host) -> None:
    """A reference arrives as one that works from there, as an argument, a result and a field."""
    counter = await here.start(Counter)
    echo = await here.start_on(target.node_id, Echo)
    again = await echo.counter(counter)
    assert again == counter
    assert await again.add(1) == 2
    order = await echo.order(Order(1, counter=counter))
    assert order.counter is not None
    assert await order.counter.add(1) == 3
    assert (await echo.itself()) == echo


async def test_protocols_are_references(here: Host, target: Host) -> None:
    """Where a Protocol is asked for any process with its methods will do."""
    counter = await here.start(Counter)
    echo = await here.start_on(target.node_id, Echo)
    assert await echo.adder(counter, 5) == 5
    assert await echo.adders([counter, counter]) == [6, 7]
    with pytest.raises(ArgumentError, match="Echo has no add, count_to"):
        _ = echo.adder(echo, 5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected a reference to Adds, got int"):
        _ = echo.adder(5, 5)  # type: ignore[arg-type]


async def test_references_to_others_are_refused(here: Host) -> None:
    """A reference to another class than the annotated one does not fit."""
    echo = await here.start(Echo)
    with pytest.raises(ArgumentError, match=r"argument 'counter': expected a reference to Counter, got one to Echo"):
        _ = echo.counter(echo)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="expected a reference to Counter, got str"):
        _ = echo.counter("counter")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="plain object"):
        _ = echo.counter(Counter())


async def test_a_class_that_was_defined_again(here: Host) -> None:
    """After a reload or a notebook cell, references to the new class still fit where the old one is asked for."""
    old = type("Again", (Counter,), {}, wire_name="acme.Reloaded")

    class Takes(Process):
        async def take(self, again: old) -> int:  # type: ignore[valid-type]
            return await again.add(1)  # type: ignore[attr-defined,no-any-return]

    new: Any = type("Again", (Counter,), {}, wire_name="acme.Reloaded")
    takes = await here.start(Takes)
    assert await takes.take(await here.start(new)) == 1


async def test_untyped_references(here: Host, there: Host) -> None:
    """Where anything is allowed a reference arrives as one of its own class, if that is known."""
    counter = await here.start(Counter)
    echo = await here.start_on(there.node_id, Echo)
    again = (await echo.any({"who": [counter]}))["who"][0]
    assert isinstance(again, Counter)
    assert await again.add(2) == 2


async def test_protocols_in_fields(here: Host) -> None:
    """A Protocol in a field must be runtime checkable, which the error says; then it works."""

    class Takes(Process):
        async def good(self, good: Good) -> int:
            return await good.adder.add(3)

        async def bad(self, bad: Bad) -> None: ...

    counter, takes = await here.start(Counter), await here.start(Takes)
    assert await takes.good(Good(counter)) == 3
    with pytest.raises(ProcessDefinitionError, match="Adds cannot travel: decorate it with @typing"):
        _ = takes.bad(Bad(counter))


async def test_processes_hand_themselves_out(here: Host, there: Host) -> None:
    """Within a process `self` and `self.reference` both travel as a reference."""

    class Registers(Process):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def register(self, who: Caller) -> None:
            self.seen.append(who)

        async def call_back(self) -> list[int]:
            return [await who.called() for who in self.seen]

    class Caller(Process):
        def __init__(self) -> None:
            self.calls = 0

        async def begin(self, registers: Registers) -> None:
            assert self.reference.process_id == self.process_id
            await registers.register(self)
            await registers.register(self.reference)

        async def called(self) -> int:
            self.calls += 1
            return self.calls

    Registers.__enclosing__ = {"Caller": Caller}
    registers = await here.start(Registers)
    caller = await here.start_on(there.node_id, Caller)
    await caller.begin(registers)
    assert await registers.call_back() == [1, 2]


async def test_forged_references(here: Host) -> None:
    """Bytes that pretend to be a reference are refused, and none that is wrong in itself is made."""
    decode = here.codec.decoder(Counter)
    for data in (b"", b"\xc0", b"\x93\xc0\xc0\xa0", b"\x93\x92\xa1x\x01\xa1y\xa0"):
        with pytest.raises(CodecError):
            decode(b"\xc7" + bytes([len(data), 1]) + data)
    made = decode(here.codec.encode(here.reference(Counter, ProcessId(NodeId("x"), 1))))
    assert made.process_id == ProcessId(NodeId("x"), 1)


async def test_names_are_resolved_when_called(here: Host, there: Host) -> None:
    """A reference by name finds the process wherever it is, also when it starts later."""
    counter = here.ref(Counter, "counter")
    with pytest.raises(NoSuchNameError, match="'counter'"):
        await counter.add(1)
    with pytest.raises(NoSuchNameError):
        _ = counter.process_id
    started = await here.start_on(there.node_id, Counter, name="counter")
    assert await counter.add(1) == 1
    assert counter.process_id == started.process_id


async def test_names_follow_a_move(here: Host, there: Host) -> None:
    """When the process behind a name was replaced, the next call finds the new one without an error."""
    first = await here.start_on(there.node_id, Counter, (10,), name="counter")
    counter = here.ref(Counter, "counter")
    assert await counter.add(1) == 11
    await here.stop(first.process_id)
    await here.start(Counter, (20,), name="counter")
    assert await counter.add(1) == 21
    await here.stop(counter.process_id)
    with pytest.raises(NoSuchNameError):
        await counter.add(1)


async def test_names_are_forgotten_with_their_node(here: Host, there: Host, network: Network) -> None:
    """When a node goes down its names are looked up again."""
    await here.start_on(there.node_id, Counter, (10,), name="counter")
    counter = here.ref(Counter, "counter")
    assert await counter.add(1) == 11
    network.down(there.node_id)
    assert here.known("counter") is None
    await here.start(Counter, (20,), name="counter")
    assert await counter.add(1) == 21


async def test_names_travel(here: Host, there: Host) -> None:
    """A reference by name stays one when it is sent, and is resolved where it arrives."""
    await here.start(Counter, name="counter")
    echo = await here.start_on(there.node_id, Echo)
    again = await echo.counter(here.ref(Counter, "counter"))
    assert repr(again) == "<reference to Counter 'counter'>"
    assert await again.add(1) == 2


async def test_options_do_not_change_the_original(here: Host) -> None:
    """Options give a new reference; the old one keeps its own."""
    counter = await here.start(Counter)
    hasty = options(counter, timeout_s=0.0)
    with pytest.raises(CallTimeout, match="no time"):
        await hasty.add(1)
    assert await counter.add(1) == 1
    assert await options(hasty, timeout_s=5).add(1) == 2


async def test_inherited_methods(here: Host, there: Host) -> None:
    """Methods of base classes and mixins are remote too."""

    class Counts:
        async def count(self) -> int:
            return 1

    class Base(Process):
        async def ping(self) -> str:
            return type(self).__name__

    class Derived(Base, Counts):
        async def numbers(self) -> AsyncIterator[int]:
            yield await self.count()

    derived = await here.start_on(there.node_id, Derived)
    assert await derived.ping() == "Derived"
    assert await derived.count() == 1
    assert [number async for number in derived.numbers()] == [1]
    assert await here.reference(Base, derived.process_id).ping() == "Derived"


def test_error_kinds_are_honest() -> None:
    """What was surely not executed is never confused with what may have been."""
    assert not issubclass(NodeDown, NoSuchProcessError)
    assert not issubclass(CallTimeout, NoSuchProcessError)
