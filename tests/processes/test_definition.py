"""A process class that could not work is refused when it is made."""

from __future__ import annotations

import functools
import gc
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, Protocol

import pytest

from foundation.errors import ProcessDefinitionError
from foundation.processes import catalog, offload
from foundation.processes.process import Process
from tests.processes.samples import Counter


def test_public_plain_def_is_refused() -> None:
    """A public plain method is refused with its name and the cure."""
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.sell .*async def sell.*@offload.*_sell"):

        class Shop(Process):
            def sell(self) -> None: ...


def test_plain_generator_is_refused() -> None:
    """A plain generator is a plain `def` too."""
    with pytest.raises(ProcessDefinitionError, match="items"):

        class Shop(Process):
            def items(self) -> Iterator[int]:
                yield 1


@pytest.mark.parametrize("kind", [property, functools.cached_property])
def test_public_property_is_refused(kind: Any) -> None:
    """State behind a property cannot be read through a reference, so it is refused."""
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.total is a property"):

        class Shop(Process):
            @kind
            def total(self) -> int:
                return 1


def test_mixins_count() -> None:
    """What a mixin brings is checked like the class's own methods, and the message says where it is from."""

    class Logs:
        def log(self) -> None: ...

    with pytest.raises(ProcessDefinitionError, match=r"Shop\.log \(from Logs\)"):

        class Shop(Logs, Process): ...

    with pytest.raises(ProcessDefinitionError, match=r"Shop\.log \(from Logs\)"):
        type("Shop", (Process, Logs), {})


def test_an_override_makes_a_mixin_right() -> None:
    """Only what the class really offers is checked, not what it replaced."""

    class Watches(Protocol):
        def watch(self) -> AsyncIterator[int]: ...

    class Shop(Process, Watches):
        async def watch(self) -> AsyncIterator[int]:
            yield 1

    assert issubclass(Shop, Process)


@pytest.mark.parametrize("name", ["started", "stopping", "handle_message", "handle_ended", "name_lost"])
def test_hooks_are_async(name: str) -> None:
    """A hook that is a plain `def` is refused."""
    with pytest.raises(ProcessDefinitionError, match=f"async def {name}"):
        type("Shop", (Process,), {name: lambda *_: None})


@pytest.mark.parametrize("name", ["reference", "process_id", "monitor", "start_linked", "send_after", "every"])
def test_own_names_cannot_be_hidden(name: str) -> None:
    """A class cannot take the names under which every process finds itself."""
    with pytest.raises(ProcessDefinitionError, match=f"{name} hides"):
        type("Shop", (Process,), {name: 1})


async def _two(_self: object, _state: int, _more: int) -> None: ...


async def _none(_self: object) -> None: ...


async def _items(_self: object) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("name", "method", "wanted"),
    [
        ("snapshot", _two, r"async def snapshot\(self\)"),
        ("snapshot", _items, r"async def snapshot\(self\)"),
        ("restore", _none, r"async def restore\(self, state\)"),
        ("restore", _two, r"async def restore\(self, state\)"),
    ],
)
def test_what_hands_state_over_is_checked(name: str, method: Any, wanted: str) -> None:
    """`snapshot` gives the state to another node, `restore` takes it: other shapes fail at once, not at the move."""
    with pytest.raises(ProcessDefinitionError, match=wanted):
        type("Shop", (Process,), {name: method})


def test_merge_is_checked_where_there_is_a_snapshot() -> None:
    """`merge` takes what the `snapshot` of another process gave; without one it is a method like any other."""
    with pytest.raises(ProcessDefinitionError, match=r"async def merge\(self, state\)"):
        type("Shop", (Process,), {"snapshot": _none, "merge": _two})
    assert type("Shop", (Process,), {"merge": _two})


def test_state_can_be_handed_over_by_other_means_of_being_async() -> None:
    """Offloaded methods, and ones with further parameters that have defaults, do as well."""

    class Shop(Process):
        @offload
        def snapshot(self) -> int:
            return 1

        async def restore(self, state: int, times: int = 1) -> None: ...

    assert issubclass(Shop, Process)


def test_allowed_members() -> None:
    """Async methods, generators, private and static members, nested classes, constants and dunders are fine."""

    class Shop(Process):
        LIMIT: ClassVar[int] = 3

        class Nested: ...

        def __len__(self) -> int:
            return self._size()

        async def sell(self) -> None: ...

        async def items(self) -> AsyncIterator[int]:
            yield 1

        def _size(self) -> int:
            return 1

        @classmethod
        def build(cls) -> None: ...

        @staticmethod
        def helper() -> None: ...

    assert len(Shop()) == 1


def test_abstract_methods() -> None:
    """A process may have abstract methods, as long as they are async."""

    class Shape(Process, ABC):
        @abstractmethod
        async def area(self) -> float: ...

    class Square(Shape):
        async def area(self) -> float:
            return 1.0

    assert catalog.find(catalog.wire_name_of(Square)) is Square


def test_a_plain_instance_is_a_plain_object() -> None:
    """Without a host a process is an ordinary object, good for unit tests; only a reference it has not."""
    counter = Counter(5)
    assert counter.value == 5
    with pytest.raises(Exception, match="plain object"):
        _ = counter.reference


def test_wire_names() -> None:
    """A wire name is module and qualified name, unless the class chooses one; subclasses do not inherit the choice."""

    class Shop(Process, wire_name="acme.Shop"): ...

    class Branch(Shop): ...

    assert catalog.wire_name_of(Counter) == "tests.processes.samples:Counter"
    assert catalog.wire_name_of(Shop) == "acme.Shop"
    assert catalog.wire_name_of(Branch).endswith(":test_wire_names.<locals>.Branch")
    assert catalog.find("acme.Shop") is Shop


def test_redefinition_replaces() -> None:
    """A class that is defined again takes the place of the old one, without a word."""
    first = type("Again", (Process,), {}, wire_name="acme.Again")
    second = type("Again", (Process,), {}, wire_name="acme.Again")
    assert first is not second
    assert catalog.find("acme.Again") is second


def test_listeners_hear_of_new_classes() -> None:
    """Who listens is told each new wire name until it stops listening."""
    heard: list[str] = []
    forget = catalog.on_new(heard.append)
    kept: list[type] = [type("One", (Process,), {}, wire_name="acme.One")]
    forget()
    kept.append(type("Two", (Process,), {}, wire_name="acme.Two"))
    assert heard == ["acme.One"]
    assert {"acme.One", "acme.Two"} <= set(catalog.names())


def test_listeners_are_not_kept() -> None:
    """Who throws away what ends its listening hears no more, so a node that was never stopped costs no memory."""
    heard: list[str] = []
    kept: Any = catalog.on_new(heard.append)
    del kept
    gc.collect()
    assert type("Three", (Process,), {}, wire_name="acme.Three")
    assert not heard
