"""Arrays of numpy come back equal, writable and of the annotated kind, and bytes that lie about them make nothing."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from foundation.core import array_format
from foundation.core.arrays import ARRAYS, CODE
from foundation.core.codec import Codec
from foundation.errors import CodecError

codec = Codec([ARRAYS])
anything = codec.decoder(Any)

RECORD = np.dtype(
    {
        "names": ["at", "place", "tag"],
        "formats": ["<M8[ms]", (">f4", (2, 3)), np.dtype([("letter", "<U1"), ("flag", "?")])],
        "offsets": [1, 12, 40],
        "itemsize": 60,
    }
)
ARRAYS_OF_ALL_KINDS: dict[str, npt.NDArray[Any]] = {
    "no dimensions": np.array(3.5),
    "empty": np.empty((0, 3), np.int16),
    "empty, transposed": np.empty((3, 0, 2), np.int16).T,
    "Fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "every other": np.arange(20)[::2],
    "backwards": np.arange(20).reshape(4, 5)[::-1, ::-2],
    "broadcast": np.broadcast_to(np.float32(1.5), (3, 4)),
    "axes moved": np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
    "big-endian": np.array([1, 2**40], ">i8"),
    "dates": np.array(["2020-01-01", "NaT"], "<M8[ns]"),
    "dates by 25 s": np.array([1, 2], "<M8[25s]"),
    "durations": np.array([1, -3], ">m8[us]"),
    "durations without unit": np.array([1, 2], "m8"),
    "complex": np.array([1j, 2 + 3j], np.complex64),
    "half": np.array([1.5, np.inf], np.float16),
    "long double": np.array([1.5], np.longdouble),
    "long complex": np.array([1.5j], np.clongdouble),
    "booleans": np.array([[True], [False]]),
    "text": np.array(["ä", "longer", ""]),
    "bytes": np.array([b"x", b"yz"]),
    "raw": np.array([b"ab", b"cd"], "V2"),
    "records": np.zeros((2, 2), RECORD),
    "aligned records": np.ones(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "records, some fields": np.ones(3, [("a", "i1"), ("b", "f8"), ("c", "i2")])[["a", "c"]],
    "read-only": np.frombuffer(b"abcd", np.uint8),
    "unaligned": np.frombuffer(bytes(17), "<f8", offset=1),
}

plain_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.byte_string_dtypes(min_len=1),
    hnp.unicode_string_dtypes(min_len=1),
)
records = hnp.array_dtypes(plain_dtypes, min_size=1, allow_subarrays=True)
dtypes = plain_dtypes | records.filter(lambda dtype: all(len(part) == 2 for part in (dtype.fields or {}).values()))
shapes = hnp.array_shapes(min_dims=0, min_side=0, max_side=4)


def check_same(came: Any, sent: npt.NDArray[Any]) -> None:
    assert type(came) is np.ndarray
    assert came.dtype == sent.dtype
    assert came.dtype.byteorder == sent.dtype.byteorder
    assert came.shape == sent.shape
    assert codec.encode(came) == codec.encode(sent)
    if sent.dtype.kind not in "mMV":  # what is not a time is equal to nothing
        np.testing.assert_array_equal(came, sent)
    assert came.flags.writeable
    assert came.flags.aligned
    assert came.flags.owndata


def wire(header: Any, elements: bytes = b"") -> bytes:
    packed = header if isinstance(header, bytes) else msgspec.msgpack.encode(header)
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(CODE, len(packed).to_bytes(2, "big") + packed + elements))


@pytest.mark.parametrize("name", ARRAYS_OF_ALL_KINDS)
def test_arrays_of_all_kinds_round_trip(name: str) -> None:
    """Whatever its layout, order and dtype, an array arrives equal, writable, aligned, and on its own."""
    sent = ARRAYS_OF_ALL_KINDS[name]
    for _ in range(2):
        came = anything(codec.encode([sent]))[0]
        check_same(came, sent)
        assert came.flags.fnc == sent.flags.fnc
        check_same(codec.decoder(np.ndarray)(codec.encode(sent)), sent)


@given(st.data())
def test_any_array_round_trips(data: st.DataObject) -> None:
    """Arrays of any dtype, structured ones too, and of any shape, arrive equal."""
    sent = data.draw(hnp.arrays(data.draw(dtypes), data.draw(shapes)))
    check_same(anything(codec.encode(sent)), sent)


def test_the_elements_travel_as_they_lie() -> None:
    """An array costs its bytes and a short header, not a list of numbers."""
    sent = np.arange(1_000, dtype=np.float64)
    data = codec.encode(sent)
    assert len(data) < sent.nbytes + 40
    assert sent.tobytes() in data


def test_one_copy_on_either_side() -> None:
    """Beside the encoded bytes an array is in memory once on its way there, and once on its way out."""
    sent = np.asfortranarray(np.ones((3_000, 1_000)))[:, ::2]
    tracemalloc.start()
    try:
        content: Any = array_format.plain_or_bytes(sent)
        encoding = tracemalloc.get_traced_memory()[1]
        assert sent.nbytes <= encoding < sent.nbytes * 1.1
        tracemalloc.reset_peak()
        array_format.from_bytes(content)
        assert tracemalloc.get_traced_memory()[1] - encoding < sent.nbytes * 1.1
    finally:
        tracemalloc.stop()


def test_padding_does_not_show_memory() -> None:
    """What lies between the fields of a record is zero on the wire."""
    padded = np.dtype({"names": ["a"], "formats": ["i1"], "offsets": [0], "itemsize": 64})
    dirty = np.full(64 * 50, 255, np.uint8).view(padded)
    assert codec.encode(dirty).endswith((b"\xff" + bytes(63)) * 50)


# --- scalars


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),  # noqa: FBT003
        (np.str_("x"), "x"),
        (np.bytes_(b"x"), b"x"),
    ],
)
def test_scalars_are_plain_values(sent: Any, plain: Any) -> None:
    """A number, text or truth value of numpy is the plain one where such is annotated, and where nothing is."""
    for annotation in (Any, type(plain), type(plain) | None):
        came = codec.decoder(annotation)(codec.encode(sent))
        assert (type(came), came) == (type(plain), plain)
    came = codec.decoder(type(sent))(codec.encode(sent))
    assert (type(came), came) == (type(sent), sent)


@pytest.mark.parametrize(
    "sent",
    [
        np.datetime64("2020-01-01T00:00:00.000000001"),
        np.timedelta64(5, "ms"),
        np.complex64(1j),
        np.longdouble(1.5),
        np.zeros((), RECORD)[()],
    ],
)
def test_other_scalars_stay_what_they_are(sent: Any) -> None:
    """A scalar that no plain value stands for arrives as itself, untyped and annotated."""
    for annotation in (Any, type(sent)):
        came = codec.decoder(annotation)(codec.encode(sent))
        assert (type(came), came.dtype, came) == (type(sent), sent.dtype, sent)


@pytest.mark.parametrize(
    ("annotation", "sent", "came"),
    [
        (np.float64, 3, np.float64(3)),
        (np.float32, 0.1, np.float32(0.1)),
        (np.float32, 1e300, np.float32(math.inf)),
        (np.uint8, 255, np.uint8(255)),
        (np.integer, 3, np.int64(3)),
        (np.number[Any], 0.5, np.float64(0.5)),
        (np.generic, "x", np.str_("x")),
    ],
)
def test_plain_values_become_annotated_scalars(annotation: Any, sent: Any, came: Any) -> None:
    """Where a scalar of numpy is annotated a plain value that fits becomes one."""
    got = codec.decoder(annotation)(codec.encode(sent))
    assert (type(got), got) == (type(came), came)


@pytest.mark.parametrize(
    ("annotation", "sent", "text"),
    [
        (np.int8, 128, "expected int8, got 128"),
        (np.uint8, -1, "expected uint8, got -1"),
        (np.int64, 1.5, r"expected int64, got 1\.5"),
        (np.int64, True, "expected int64, got bool"),
        (np.float64, "x", "expected float64, got str"),
        (np.floating, 1, "expected floating, got 1"),
        (np.datetime64, 1, "expected datetime64, got 1"),
        (np.int64, [1], "expected int64, got list"),
        (np.int64, np.array(1), "expected int64, got ndarray"),
    ],
)
def test_other_values_become_no_scalars(annotation: Any, sent: Any, text: str) -> None:
    """A value that an annotated scalar cannot hold is an error that names both."""
    with pytest.raises(CodecError, match=text):
        codec.decoder(annotation)(codec.encode(sent))


# --- annotations


class Weights(msgspec.Struct):
    values: npt.NDArray[np.float64]
    mask: npt.NDArray[np.bool_] | None = None


@dataclass
class Layer:
    weights: list[Weights]
    shape: np.ndarray


Grid = np.ndarray[tuple[int, int], np.dtype[np.float64 | np.float32]]
ones = np.ones((2, 2))


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        (np.ndarray, ones.astype("S1")),
        (np.ndarray | None, ones),
        (np.ndarray | None, None),
        (list[np.ndarray], [ones, ones]),
        (dict[str, npt.NDArray[Any]], {"x": ones}),
        (npt.NDArray[np.float64], ones),
        (npt.NDArray[np.float64], ones.astype(">f8")),
        (npt.NDArray[np.floating[Any]], ones.astype("f2")),
        (npt.NDArray[np.longlong], ones.astype(np.longlong)),
        (npt.NDArray[np.str_], np.array(["ab"])),
        (npt.NDArray[np.datetime64], np.array(["2020-01-01"], "M8[D]")),
        (Grid, ones),
        (Grid, ones.astype("f4")),
    ],
    ids=str,
)
def test_annotations_that_fit(annotation: Any, sent: Any) -> None:
    """An array arrives where an array, an array of its dtype, or one of its dimensions, is annotated."""
    np.testing.assert_equal(codec.decoder(annotation)(codec.encode(sent)), sent)


@pytest.mark.parametrize(
    ("annotation", "sent", "text"),
    [
        (np.ndarray, 1.5, "expected an array, got float"),
        (np.ndarray, np.float64(1.5), "expected an array, got float"),
        (list[np.ndarray], [[1, 2]], r"expected an array, got list - at `\$\[0\]`"),
        (npt.NDArray[np.float64], ones.astype("f4"), "expected an array of float64, got one of float32"),
        (npt.NDArray[np.integer[Any]], ones, "expected an array of integer, got one of float64"),
        (Grid, ones.astype("i4"), "expected an array of float64 or float32, got one of int32"),
        (Grid, ones[0], "expected an array of 2 dimensions, got one of 1"),
    ],
    ids=str,
)
def test_annotations_that_do_not_fit(annotation: Any, sent: Any, text: str) -> None:
    """What is no array, or one of another dtype or number of dimensions, is an error that names both."""
    with pytest.raises(CodecError, match=text):
        codec.decoder(annotation)(codec.encode(sent))


def test_fields_are_arrays() -> None:
    """Fields of dataclasses and structs, at any depth, hold arrays of the annotated dtype."""
    layer = Layer([Weights(ones), Weights(ones, ones > 0)], np.array([2, 2]))
    came = codec.decoder(Layer)(codec.encode(layer))
    np.testing.assert_equal(came.weights[1].mask, ones > 0)
    np.testing.assert_equal(came.shape, layer.shape)
    wrong: Any = ones.astype(np.int8)
    with pytest.raises(CodecError, match=r"got one of int8 - at `\$\.weights\[0\]\.values`"):
        codec.decoder(Layer)(codec.encode(Layer([Weights(wrong)], ones)))


# --- what is refused


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(np.array([object()]), "hold references to Python objects", id="object"),
        (np.zeros(2, [("a", "O")]), "hold references to Python objects"),
        (np.array(["x"], np.dtypes.StringDType()), "cannot travel"),
        (np.zeros(2, np.dtype([(("title", "a"), "i4")])), "cannot travel"),
        (np.zeros(2, []), "have no size"),
        (np.zeros(2, [(f"field {n}", "i1") for n in range(5_000)]), "5000 fields is too long"),
        (np.ma.masked_array([1, 2], [True, False]), r"MaskedArray cannot travel.*register_type"),
        (np.zeros(2).view(np.recarray), r"recarray cannot travel.*register_type"),
    ],
    ids=str,
)
def test_arrays_that_cannot_travel(value: Any, text: str) -> None:
    """Arrays whose bytes are not all there is to them are refused with the reason."""
    with pytest.raises(TypeError, match=text):
        codec.encode([value])


def test_a_mapped_file_travels(tmp_path: Path) -> None:
    """An array that lies in a file arrives as one in memory."""
    mapped: Any = np.memmap(tmp_path / "array", np.int16, "w+", shape=(2, 3))
    mapped[:] = 7
    check_same(anything(codec.encode(mapped)), np.full((2, 3), 7, np.int16))


HOSTILE: dict[str, bytes] = {
    "nothing": msgspec.msgpack.encode(msgspec.msgpack.Ext(CODE, b"")),
    "one byte": msgspec.msgpack.encode(msgspec.msgpack.Ext(CODE, b"\0")),
    "no header": wire(b""),
    "longer header than bytes": msgspec.msgpack.encode(msgspec.msgpack.Ext(CODE, b"\xff\xff\x92")),
    "not MessagePack": wire(b"\xc1\xc1"),
    "no array": wire(1),
    "no shape": wire(["<f8"], bytes(8)),
    "too few bytes": wire(["<f8", [2]], bytes(15)),
    "too many bytes": wire(["<f8", [2]], bytes(17)),
    "huge shape": wire(["<f8", [2**60]], bytes(8)),
    "shape beyond 64 bits": wire(["<f8", [2**63, 2]], bytes(8)),
    "shape that overflows to its size": wire(["|u1", [2**32, 2**32]], b""),
    "negative shape": wire(["<f8", [-1]], bytes(8)),
    "huge and empty": wire(["<f8", [2**62, 2**62, 0]]),
    "many dimensions": wire(["|u1", [1] * 65], b"\0"),
    "more dimensions": wire(["|u1", [1] * 60_000], b"\0"),
    "objects": wire(["|O", [1]], bytes(8)),
    "objects, no size": wire(["O", []], bytes(8)),
    "object field": wire([{"names": ["a"], "formats": ["|O"], "offsets": [0], "itemsize": 8}, [1]], bytes(8)),
    "variable text": wire(["|T16", [1]], bytes(16)),
    "no size": wire(["|V0", [2**60]]),
    "no such dtype": wire(["<q9", [1]], bytes(9)),
    "no such size": wire(["<f3", [1]], bytes(3)),
    "several": wire(["<f8,<f8", [1]], bytes(16)),
    "expression": wire(["(2,2)<f8", [1]], bytes(32)),
    "huge element": wire(["|V999999999", [1]], bytes(8)),
    "huge text": wire(["<U999999999", [1]], bytes(8)),
    "bad unit": wire(["<M8[xx]", [1]], bytes(8)),
    "number": wire([5, [1]], bytes(8)),
    "nested list": wire([[["a", "<f8"]], [1]], bytes(8)),
    "shape in the dtype": wire([{"of": "<f8", "shape": [2]}, [1]], bytes(16)),
    "huge shape in a field": wire(
        [
            {"names": ["a"], "formats": [{"of": "<f8", "shape": [2**40]}], "offsets": [0], "itemsize": 8},
            [1],
        ],
        bytes(8),
    ),
    "field outside": wire([{"names": ["a"], "formats": ["<f8"], "offsets": [8], "itemsize": 8}, [1]], bytes(8)),
    "field before": wire([{"names": ["a"], "formats": ["<f8"], "offsets": [-8], "itemsize": 8}, [1]], bytes(8)),
    "names twice": wire(
        [{"names": ["a", "a"], "formats": ["|u1", "|u1"], "offsets": [0, 1], "itemsize": 2}, [1]], bytes(2)
    ),
    "names that are none": wire([{"names": 1, "formats": [], "offsets": [], "itemsize": 8}, [1]], bytes(8)),
    "titles": wire([{"names": ["a"], "formats": ["|u1"], "offsets": [0], "itemsize": 1, "titles": ["t"]}, [1]], b"\0"),
    "unknown order": wire(["<f8", [1], "K"], bytes(8)),
    "scalar with a shape": wire(["<f8", [1], "C", True], bytes(8)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers(name: str) -> None:
    """Headers that lie are CodecErrors, and nothing large is allocated for them."""
    anything(codec.encode(ones))  # imports are done
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            anything(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [50, 500, 5_000])
def test_deep_dtypes_are_no_crash(depth: int) -> None:
    """A dtype within a dtype, a thousand times, is an array or a CodecError."""
    deep: Any = msgspec.msgpack.encode("|u1")
    for _ in range(depth):
        deep = b"\x82\xa2of" + deep + b"\xa5shape\x91\x01"
    fields = b"\x84\xa5names\x91\xa1a\xa7formats\x91" + deep + b"\xa7offsets\x91\x00\xa8itemsize\x01"
    with suppress(CodecError):
        assert anything(wire(b"\x92" + fields + b"\x91\x01", b"\0")).shape == (1,)


@given(st.sampled_from(sorted(ARRAYS_OF_ALL_KINDS)), st.data())
def test_changed_bytes_are_no_crash(name: str, data: st.DataObject) -> None:
    """An encoded array of which some bytes were changed is some value, or a CodecError."""
    good = codec.encode(ARRAYS_OF_ALL_KINDS[name])
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, min(len(good), 120) - 1))] = data.draw(st.integers(0, 255))
    for annotation in (Any, np.ndarray, npt.NDArray[np.float64]):
        with suppress(CodecError):
            codec.decoder(annotation)(changed)


# --- without numpy

WITHOUT_NUMPY = """
import sys
from typing import Any
from foundation.core.arrays import ARRAYS
from foundation.core.codec import Codec
from foundation.errors import CodecError

class Other: ...
codec = Codec([ARRAYS])
assert not codec.adapts(Other) and not codec.takes(Other)
try:
    codec.decoder(Any)(bytes.fromhex(sys.argv[1]))
except CodecError as error:
    print(error)
assert "numpy" not in sys.modules
"""


def test_bytes_import_nothing() -> None:
    """A program that has not imported numpy does not because an array came: that is a CodecError that says so."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT_NUMPY, codec.encode(ones).hex()]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=25).stdout
    assert said == "a numpy array came, and this program has not imported numpy\n"
