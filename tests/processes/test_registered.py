"""Classes that the program registered travel like those that need no registration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import PurePath
from typing import Any, Protocol

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import foundation
from foundation.core import registered
from foundation.core.codec import Codec
from foundation.core.registered import REGISTERED
from foundation.errors import ArgumentError, CodecError, ProcessDefinitionError
from foundation.processes.calling.verbs import send
from foundation.processes.host import Host
from foundation.processes.process import Process
from tests.processes.samples import Counter, Line


class Matrix:
    """No dataclass: nobody but its own functions knows what is inside."""

    def __init__(self, *rows: bytes) -> None:
        self.rows = rows

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matrix) and self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def to_bytes(self) -> bytes:
        if not self.rows:
            message = "a matrix has rows"
            raise ValueError(message)
        return b"/".join(self.rows)

    @classmethod
    def from_bytes(cls, data: bytes) -> Matrix:
        return Matrix(*data.split(b"/"))


class Square(Matrix):
    """Not registered itself."""


@dataclass
class Model:
    name: str
    weights: list[Matrix]
    extra: Matrix | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class BrokenModelError(Exception):
    pass


class Models(Process):
    """Takes matrices wherever a value can stand."""

    def __init__(self, first: Matrix | None = None) -> None:
        self.seen: list[Any] = [first]

    async def turn(self, matrix: Matrix) -> Matrix:
        assert type(matrix) is Matrix
        return Matrix(*reversed(matrix.rows))

    async def any(self, value: Any) -> Any:
        self.seen.append(value)
        return value

    async def model(self, model: Model, *, other: Matrix | None = None) -> tuple[Model, Matrix | None]:
        return model, other

    async def each(self, matrices: list[Matrix]) -> AsyncIterator[Matrix]:
        for matrix in matrices:
            yield matrix

    async def fail(self, matrix: Matrix) -> None:
        raise BrokenModelError(matrix)

    async def make(self) -> Matrix:
        return Matrix(b"new")

    async def make_bad(self) -> Matrix:
        return Matrix()

    async def all_seen(self) -> list[Any]:
        return self.seen

    async def handle_message(self, message: Matrix | Line) -> None:
        self.seen.append(message)


def register_matrix() -> None:
    foundation.register_type(Matrix, to_bytes=Matrix.to_bytes, from_bytes=Matrix.from_bytes)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test the registry of a program that has registered one class."""
    monkeypatch.setattr(registered, "_by_class", {})
    monkeypatch.setattr(registered, "_by_name", {})
    register_matrix()


@pytest.fixture
async def models(here: Host, target: Host) -> Models:
    return await here.start_on(target.node_id, Models, (Matrix(b"1"),))


async def test_a_registered_class_travels_everywhere(models: Models) -> None:
    """As argument, keyword, field, result, item and constructor argument it arrives as itself, typed or not."""
    matrix = Matrix(b"12", b"34")
    for _ in range(3):  # the second time the types are known to fit
        assert await models.turn(matrix) == Matrix(b"34", b"12")
    assert await models.any({"deep": [matrix, None]}) == {"deep": [matrix, None]}
    model = Model("m", [matrix], matrix, {"x": matrix})
    assert await models.model(model, other=matrix) == (model, matrix)
    assert await models.model(model) == (model, None)
    assert [item async for item in models.each([matrix, matrix])] == [matrix, matrix]
    assert (await models.all_seen())[0] == Matrix(b"1")


async def test_messages_and_errors_carry_it(models: Models) -> None:
    """A plain message, also in a union, and the arguments of an error arrive with it."""
    await send(models, Matrix(b"message"))
    await send(models, Line("tea"))
    assert await models.all_seen() == [Matrix(b"1"), Matrix(b"message"), {"item": "tea", "amount": 1}]
    with pytest.raises(BrokenModelError) as caught:
        await models.fail(Matrix(b"9"))
    assert caught.value.args == (Matrix(b"9"),)


async def test_a_subclass_arrives_as_the_registered_class(models: Models) -> None:
    """A value of a subclass travels by the functions of its nearest registered base."""
    assert type(await models.any(Square(b"1"))) is Matrix
    foundation.register_type(PurePath, to_bytes=lambda path: str(path).encode(), from_bytes=_path)
    assert await models.any(PurePath("a/b")) == PurePath("a/b")


def _path(data: bytes) -> PurePath:
    return PurePath(data.decode())


async def test_a_wrong_value_is_refused_at_the_call(here: Host) -> None:
    """What is no value of the class, or what its functions refuse, is an ArgumentError before anything is sent."""
    models = await here.start(Models)
    with pytest.raises(ArgumentError, match=r"Models\.turn: argument 'matrix': expected Matrix, got str"):
        _ = models.turn("x")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"Models\.turn: argument 'matrix': cannot travel: a matrix has rows"):
        _ = models.turn(Matrix())
    with pytest.raises(ArgumentError, match=r"argument 'value': cannot travel: .*Fraction.*foundation\.register_type"):
        _ = models.any(Fraction(1, 2))
    with pytest.raises(TypeError, match=r"Models\.make_bad gave a value that cannot travel: a matrix has rows"):
        await models.make_bad()


async def test_a_class_may_be_registered_late(here: Host) -> None:
    """A method whose annotations cannot travel yet works as soon as the class is registered."""

    class Late:
        pass

    class Waits(Process):
        async def take(self, late: Late) -> str:
            return type(late).__name__

    waits = await here.start(Waits)
    with pytest.raises(ProcessDefinitionError, match=r"Late cannot travel.*foundation\.register_type"):
        _ = waits.take(Late())
    foundation.register_type(Late, to_bytes=lambda _: b"", from_bytes=lambda _: Late())
    assert await waits.take(Late()) == "Late"


async def test_the_callee_refuses_a_name_it_does_not_know(
    models: Models, monkeypatch: pytest.MonkeyPatch, here: Host
) -> None:
    """An argument of a type that was not registered there is an ArgumentError that names it, and nothing ran."""
    await models.turn(Matrix(b"1"))
    await models.any(1)
    calls = [models.turn(Matrix(b"2")), models.any([Matrix(b"2")])]
    monkeypatch.setattr(registered, "_by_name", {})
    for call in calls:
        with pytest.raises(ArgumentError, match=r"no type 'tests\.processes\.test_registered:Matrix' was registered"):
            await call
    monkeypatch.undo()
    assert len(here.calls) == 0


async def test_the_caller_is_told_of_a_result_it_does_not_know(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result of a type that was not registered here is a CodecError that names it."""
    monkeypatch.setattr(registered, "_by_name", {})
    with pytest.raises(CodecError, match=r"no type '.*:Matrix' was registered here"):
        await models.make()


class Shape(Protocol):
    pass


def test_registering_again_is_fine() -> None:
    """The same registration changes nothing, and a class that was defined again takes the place of the old one."""
    register_matrix()
    old = _defined()
    new = _defined()
    assert old is not new
    codec = Codec([REGISTERED])
    assert type(codec.decoder(Any)(codec.encode(new()))) is new
    with pytest.raises(TypeError, match="cannot travel"):
        codec.encode(old())


def _defined() -> type:
    class Again:
        @classmethod
        def from_bytes(cls, _: bytes) -> Again:
            return cls()

    for _ in range(2):
        foundation.register_type(Again, to_bytes=lambda _: b"", from_bytes=Again.from_bytes)
    return Again


@pytest.mark.parametrize(
    ("cls", "changes", "text"),
    [
        (Matrix, {"name": "other"}, "Matrix was registered before"),
        (Matrix, {"to_bytes": bytes}, "Matrix was registered before"),
        (Fraction, {"name": "tests.processes.test_registered:Matrix"}, "the name .* belongs to .*Matrix"),
        (Fraction, {"name": ""}, "1 to 255 bytes"),
        (Fraction, {"name": "ä" * 128}, "1 to 255 bytes"),
        (Fraction, {"from_bytes": b""}, "expected a function"),
        (int, {}, "int travels as what it is"),
        (Line, {}, "Line travels as what it is"),
        (Model, {}, "Model travels as what it is"),
        (Counter, {}, "references to processes travel anyway"),
        (Shape, {}, "references to processes travel anyway"),
        ("Fraction", {}, "expected a class"),
    ],
)
def test_contradictions_are_refused(cls: Any, changes: dict[str, Any], text: str) -> None:
    """What contradicts an earlier registration, or would never be used, is an ArgumentError that says why."""
    given: dict[str, Any] = {"to_bytes": Matrix.to_bytes, "from_bytes": Matrix.from_bytes}
    with pytest.raises(ArgumentError, match=text):
        foundation.register_type(cls, **(given | changes))


def test_a_name_of_ones_own() -> None:
    """A chosen name is all that is on the wire, so the module of the class may differ between nodes."""
    foundation.register_type(Fraction, to_bytes=_digits, from_bytes=_fraction, name="ratio")
    codec = Codec([REGISTERED])
    data = codec.encode([Fraction(1, 3)])
    assert b"ratio1/3" in data
    assert b"fractions" not in data
    assert codec.decoder(list[Fraction])(data) == [Fraction(1, 3)]


def _digits(value: Fraction) -> bytes:
    return f"{value.numerator}/{value.denominator}".encode()


def _fraction(data: bytes) -> Fraction:
    return Fraction(data.decode())


@given(st.binary(max_size=60))
def test_hostile_bytes_are_codec_errors(data: bytes) -> None:
    """Whatever the bytes of a registered type are, they make a value of the class or a CodecError."""
    codec = Codec([REGISTERED])
    name = b"tests.processes.test_registered:Matrix"
    for payload in (data, bytes((len(name),)) + name + data, bytes((len(data) + 1,)) + data):
        wire = msgspec.msgpack.encode(msgspec.msgpack.Ext(registered.CODE, payload))
        try:
            assert type(codec.decoder(Any)(wire)) is Matrix
        except CodecError as error:
            assert "type" in str(error) or "utf-8" in str(error)  # noqa: PT017


@pytest.mark.parametrize("made", [None, Line("x"), 1])
def test_from_bytes_must_keep_its_promise(made: Any) -> None:
    """A function that makes something else than the class is a CodecError that names it."""
    foundation.register_type(Fraction, to_bytes=_digits, from_bytes=partial(_always, made))
    codec = Codec([REGISTERED])
    with pytest.raises(CodecError, match="from_bytes of Fraction gave"):
        codec.decoder(Any)(codec.encode(Fraction(1)))


def _always(made: Any, _: bytes) -> Any:
    return made


def test_to_bytes_must_give_bytes() -> None:
    """A function that gives no bytes is a TypeError that names it."""
    foundation.register_type(Fraction, to_bytes=str, from_bytes=_fraction)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="to_bytes of Fraction gave str, not bytes"):
        Codec([REGISTERED]).encode(Fraction(1))
