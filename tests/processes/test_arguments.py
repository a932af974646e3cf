"""Arguments are checked where the call is made, and arrive as the types that the method asks for."""

from __future__ import annotations

import datetime as dt
import enum
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.errors import ArgumentError, ProcessDefinitionError
from foundation.processes.host import Host
from foundation.processes.process import Process
from tests.processes.samples import Counter, Echo, Line, Order

if TYPE_CHECKING:
    from fractions import Fraction

IN_ONE_LOOP = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Box(msgspec.Struct, frozen=True):
    size: Size
    labels: frozenset[str] = frozenset()


@dataclass
class Parcel:
    boxes: list[Box]
    sent: dt.datetime | None
    price: Decimal
    key: UUID


class Typed(Process):
    """Takes arguments of many types and says what they became."""

    async def scalars(self, a: int, b: float, c: str, d: bool, e: bytes, f: None, g: int | str | None) -> list[Any]:
        assert [type(value) for value in (a, b, c, d, e)] == [int, float, str, bool, bytes]
        return [a, b, c, d, e, f, g]

    async def parcel(self, parcel: Parcel, count: dict[str, set[int]]) -> tuple[Parcel, dict[str, set[int]]]:
        assert isinstance(parcel, Parcel)
        assert all(isinstance(box, Box) and isinstance(box.size, Size) for box in parcel.boxes)
        return parcel, count

    async def level(self, level: Annotated[int, msgspec.Meta(ge=0, le=9)], word: Literal["on", "off"] = "on") -> int:
        assert word in {"on", "off"}
        return level

    async def untyped(self, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return value

    async def none(self) -> None: ...


whole = st.integers(-(2**63), 2**64 - 1)
texts = st.text()
parcels = st.builds(
    Parcel,
    boxes=st.lists(st.builds(Box, st.sampled_from(Size), st.frozensets(texts))),
    sent=st.none() | st.datetimes(timezones=st.just(dt.UTC)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    key=st.uuids(),
)
plain = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False) | texts | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@IN_ONE_LOOP
@given(data=st.data())
async def test_scalars_round_trip(data: st.DataObject, here: Host) -> None:
    """Scalars arrive with their exact types and values, first and later times."""
    typed = await here.start(Typed)
    floats = st.floats(allow_nan=False)
    for _ in range(3):
        values: list[Any] = [
            data.draw(kind)
            for kind in (whole, floats, texts, st.booleans(), st.binary(), st.none(), st.none() | whole | texts)
        ]
        assert await typed.scalars(*values) == values


@IN_ONE_LOOP
@given(parcel=parcels, count=st.dictionaries(texts, st.sets(whole)))
async def test_structures_round_trip(parcel: Parcel, count: dict[str, set[int]], target: Host) -> None:
    """Dataclasses, structs, enums, dates, decimals and sets arrive as themselves, at any depth."""
    typed = await target.start(Typed)
    assert await typed.parcel(parcel, count) == (parcel, count)


@IN_ONE_LOOP
@given(value=plain)
async def test_anything_arrives_as_decoded(value: Any, here: Host) -> None:
    """Where nothing is annotated a value arrives as plain data."""
    echo = await here.start(Echo)
    typed = await here.start(Typed)
    assert await echo.any(value) == value
    assert await typed.untyped(value) == value


async def test_dataclasses_are_copied(here: Host) -> None:
    """The handler gets a copy, also on the same node: what it changes there nobody sees."""
    order = Order(1, [Line("tea")])
    echo = await here.start(Echo)
    again = await echo.order(order)
    assert again == order
    assert again is not order
    assert again.lines[0] is not order.lines[0]


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("add", ("x",), {}, r"Counter\.add: argument 'n': expected int, got str"),
    ("add", (), {"n": 1.5}, r"Counter\.add: argument 'n': expected int, got float"),
    ("add", (True,), {}, r"Counter\.add: argument 'n': expected int, got bool"),
    ("add", (1, 2), {}, r"Counter\.add: takes 1 argument, 2 were given"),
    ("add", (1,), {"n": 2}, r"Counter\.add: argument 'n' was given twice"),
    ("add", (), {"m": 2}, r"Counter\.add: unknown argument 'm'; there are: n"),
    ("add", (object(),), {}, r"Counter\.add: argument 'n': cannot travel: .*object"),
    ("add", (2**70,), {}, r"Counter\.add: argument 'n': cannot travel"),
    ("count_to", (), {}, r"Counter\.count_to: argument 'end' is missing"),
]


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "text"), WRONG, ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))[:40]
)
async def test_wrong_arguments_fail_at_the_call(
    method: str, args: tuple[Any, ...], kwargs: dict[str, Any], text: str, here: Host, target: Host
) -> None:
    """A wrong argument raises at once, naming method, parameter, what was expected and what was given."""
    counter = await here.start_on(target.node_id, Counter)
    await counter.add(1)
    with pytest.raises(ArgumentError, match=text):
        _ = getattr(counter, method)(*args, **kwargs)
    assert await counter.add(0) == 1


async def test_nothing_is_sent_for_a_wrong_argument(here: Host, there: Host) -> None:
    """What fails the check never leaves the caller."""
    counter = await here.start_on(there.node_id, Counter)
    handled = there.processes()[0].handled
    for wrong in (None, "x", [], 2**70):
        with pytest.raises(ArgumentError):
            _ = counter.add(wrong)  # type: ignore[arg-type]
    assert there.processes()[0].handled == handled
    assert len(here.calls) == 0


async def test_errors_name_the_place_within(here: Host) -> None:
    """A wrong value deep in an argument is named by its path."""
    echo = await here.start(Echo)
    with pytest.raises(ArgumentError, match=r"Echo\.order: argument 'order' at \.lines\[1\]\.amount: expected int"):
        _ = echo.order(Order(1, [Line("tea"), Line("milk", "two")]))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"Echo\.order: argument 'order': expected object, got int"):
        _ = echo.order(1)  # type: ignore[arg-type]


async def test_constraints_and_literals(here: Host) -> None:
    """Constraints of an annotation hold every time, also after the method was called with good values."""
    typed = await here.start(Typed)
    assert await typed.level(3) == 3
    assert await typed.level(3, "off") == 3
    for _ in range(2):
        with pytest.raises(ArgumentError, match="'level'"):
            _ = typed.level(10)
        with pytest.raises(ArgumentError, match="'word'"):
            _ = typed.level(1, "broken")  # type: ignore[arg-type]


async def test_all_kinds_of_parameters(target: Host, here: Host) -> None:
    """Positional, keyword, defaulted, starred and keyword-only arguments bind as in a local call."""
    echo = await here.start_on(target.node_id, Echo)
    assert await echo.everything(1) == [1, "b", [], False, {}]
    assert await echo.everything(1, "x", 1.5, 2, c=True, d=4) == [1, "x", [1.5, 2.0], True, {"d": 4}]
    assert await echo.everything(b="x", a=2) == [2, "x", [], False, {}]
    assert await echo.strict(1, 2, c=3) == [1, 2, 3, 4]
    assert await echo.strict(1, b=2, c=3, d=5) == [1, 2, 3, 5]
    many: list[Any] = ["x", *range(30)]
    assert await echo.everything(1, *many) == [1, "x", [float(n) for n in range(30)], False, {}]


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((1, "b", "x"), {}, "argument 'rest': expected float, got str"),
        ((1,), {"c": 1}, "argument 'c': expected bool, got int"),
        ((1,), {"d": "x"}, "argument 'd': expected int, got str"),
        ((1,), {"a": 2}, "argument 'a' was given twice"),
        ((), {"b": "x"}, "argument 'a' is missing"),
    ],
)
async def test_starred_parameters_are_checked(args: Any, kwargs: Any, text: str, here: Host) -> None:
    """Starred and keyword parameters are checked against their annotations too."""
    echo = await here.start(Echo)
    with pytest.raises(ArgumentError, match=f"Echo.everything: {text}"):
        _ = echo.everything(*args, **kwargs)


async def test_positional_only(here: Host) -> None:
    """A positional-only parameter cannot be given by its name."""
    echo = await here.start(Echo)
    with pytest.raises(ArgumentError, match="unknown argument 'a'"):
        _ = echo.strict(a=1, b=2, c=3)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="argument 'c' is missing"):
        _ = echo.strict(1, 2)  # type: ignore[call-arg]


async def test_results_are_typed(here: Host) -> None:
    """A result arrives as the annotated type, and None as None."""
    typed = await here.start(Typed)
    assert await typed.none() is None


async def test_annotations_of_local_classes(here: Host) -> None:
    """Classes within a function work in annotations that are text."""

    @dataclass
    class Local:
        number: int

    class Shop(Process):
        @dataclass
        class Inner:
            number: int

        async def twice(self, local: Local, other: Inner) -> Local:
            return Local(local.number * other.number)

        async def me(self) -> Shop:
            return self

    shop = await here.start(Shop)
    assert await shop.twice(Local(2), Shop.Inner(3)) == Local(6)
    assert await shop.me() == shop


async def test_unresolvable_annotations(here: Host) -> None:
    """An annotation that does not exist at run time is named with class, method, parameter and the cure."""

    class Shop(Process):
        async def sell(self, share: Fraction) -> Fraction:
            return share

        async def buy(self) -> list[Fraction]: ...  # type: ignore[empty-body]

    shop = await here.start(Shop)
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.sell.*'Fraction'.*'share'.*TYPE_CHECKING"):
        _ = shop.sell(1)  # type: ignore[arg-type]
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.buy.*Fraction.*the result"):
        await shop.buy()


async def test_types_that_cannot_travel(here: Host) -> None:
    """An annotation that no bytes could satisfy is refused with class, method, parameter and reason."""

    class Custom: ...

    @dataclass
    class Hidden:
        inner: Custom

    class Shop(Process):
        async def sell(self, what: list[Custom]) -> None: ...

        async def either(self, what: Line | Order) -> None: ...

        async def hidden(self, what: Hidden) -> None: ...

    shop = await here.start(Shop)
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.sell: parameter 'what'.*Custom cannot travel"):
        _ = shop.sell([])
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.either: parameter 'what'.*union"):
        _ = shop.either(Line("tea"))
    with pytest.raises(ProcessDefinitionError, match=r"Shop\.hidden: parameter 'what'.*'Custom' is not defined"):
        _ = shop.hidden(Hidden(Custom()))


async def test_constructor_arguments(here: Host, there: Host) -> None:
    """The constructor's arguments are checked at the caller like those of a method, for near and far starts."""
    for host in (here, there):
        with pytest.raises(ArgumentError, match=r"Counter: argument 'start': expected int, got str"):
            await here.start_on(host.node_id, Counter, ("x",))
        with pytest.raises(ArgumentError, match=r"Echo: takes no arguments, 1 were given"):
            await here.start_on(host.node_id, Echo, (1,))
        counter = await here.start_on(host.node_id, Counter, (), {"start": 3})
        assert await counter.add(1) == 4
    assert not [info for info in here.processes() + there.processes() if info.handled == 0]
