"""Bytes from outside become what was asked for, or a CodecError."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.core.codec import Codec, Extension
from foundation.errors import CodecError


class Color(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Named(TypedDict):
    name: str


class Leaf(msgspec.Struct):
    size: float


@dataclass
class Branch:
    leaves: list[Leaf]
    color: Color
    at: dt.datetime
    price: Decimal
    key: uuid.UUID
    point: Point
    named: Named
    inner: Branch | None = None


branches = st.builds(
    Branch,
    leaves=st.lists(st.builds(Leaf, st.floats(allow_nan=False))),
    color=st.sampled_from(Color),
    at=st.datetimes(timezones=st.just(dt.UTC)),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    key=st.uuids(),
    point=st.builds(Point, st.integers(-(2**63), 2**63), st.integers(0, 9)),
    named=st.fixed_dictionaries({"name": st.text()}),
)


@given(branches, st.none() | branches)
def test_typed_round_trip(branch: Branch, inner: Branch | None) -> None:
    """What is encoded comes back equal and of the annotated types, at any depth."""
    codec = Codec()
    branch.inner = inner
    assert codec.decoder(Branch)(codec.encode(branch)) == branch


@given(st.binary(max_size=200))
def test_garbage_is_a_codec_error(data: bytes) -> None:
    """Whatever the bytes are, decoding them gives a value or a CodecError."""
    codec = Codec()
    for annotation in (Any, Branch, list[Leaf], dict[str, Color], tuple[int, ...], dt.datetime):
        with suppress(CodecError):
            codec.decoder(annotation)(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x91" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xa2\xff\xfe", b"\xc7\x01\x63\x00", b"\xd6\xff\x00"],
    ids=["nothing", "deep", "huge", "no text", "unknown extension", "short time"],
)
def test_hostile_bytes(data: bytes) -> None:
    """Deep nesting, lying lengths, bad text and unknown extensions are CodecErrors, not crashes."""
    with pytest.raises(CodecError):
        Codec().decoder(Any)(data)


def _of_complex(from_wire: Callable[[memoryview], Any], adapt: Callable[[Any, Any], Any]) -> Extension:
    def is_complex(kind: Any) -> bool:
        return kind is complex

    def to_wire(value: complex) -> msgspec.msgpack.Ext:
        return msgspec.msgpack.Ext(7, repr(value).encode())

    return Extension(7, "complex", is_complex, to_wire, from_wire, is_complex, adapt)


def test_what_a_hook_raises_is_a_codec_error() -> None:
    """A hook that fails in any way on bytes from outside ends in a CodecError."""

    def fail(_: memoryview) -> Any:
        message = "broken"
        raise LookupError(message)

    extension = _of_complex(fail, lambda _, value: value)
    codec = Codec([extension])
    with pytest.raises(CodecError, match="broken"):
        codec.decoder(Any)(codec.encode(1j))


def test_extensions_carry_other_types() -> None:
    """A registered type travels in typed and in untyped positions, and only as itself."""

    def adapt(_: Any, value: Any) -> complex:
        if type(value) is not complex:
            message = f"expected complex, got {type(value).__name__}"
            raise TypeError(message)
        return value

    extension = _of_complex(lambda data: complex(str(data, "ascii")), adapt)
    codec = Codec()
    codec.register(extension)
    assert codec.decoder(list[complex])(codec.encode([1j])) == [1j]
    assert codec.decoder(Any)(codec.encode({"z": 2j})) == {"z": 2j}
    with pytest.raises(CodecError, match="expected complex, got int"):
        codec.decoder(complex)(codec.encode(1))
    with pytest.raises(ValueError, match="taken by complex"):
        codec.register(extension)


def test_unknown_types_say_the_cure() -> None:
    """A value of a class that cannot travel is refused with its name and what to do."""
    with pytest.raises(TypeError, match=r"object.*dataclass"):
        Codec().encode(object())
