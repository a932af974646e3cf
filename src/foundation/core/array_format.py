"""How an array of numpy becomes bytes and back, and whether it is what an annotation asks for.

Two bytes give the length of a header, MessagePack of dtype, shape, order and whether it is a scalar; then come the
elements as they lie in memory. Elements are copied once on either side: into the bytes, and out of them, so that an
array is writable, aligned, and keeps nothing else of what it came with alive.
"""

from __future__ import annotations

import math
import re
import types
import typing
from functools import lru_cache
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import numpy as np

from foundation.core.codec import may_share_bytes
from foundation.errors import CodecError

_LENGTH_BYTES = 2
_MOST_HEADER_BYTES = 0xFFFF
_MOST_DIMENSIONS = 64
_DTYPE = re.compile(
    r"[<>|](?:b1|[iuf](?:[1248]|1[026])|c(?:8|16|20|24|32)|[SUV]\d{1,9}|[mM]8(?:\[\d{0,9}[A-Za-z]{1,2}\])?)"
)
"""The dtypes that are neither structured nor hold references to Python objects."""

_FIELDS = frozenset({"names", "formats", "offsets", "itemsize"})
_PLAIN = frozenset({bool, int, float, str, bytes})
_PLAIN_KINDS = "biufSU"
_WIDER = {"b": "b", "i": "iuf", "u": "iuf", "f": "f", "S": "S", "U": "U"}
"""Which kinds of scalars a plain value of a kind may become."""


class _Header(msgspec.Struct, array_like=True):
    dtype: Any
    shape: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=_MOST_DIMENSIONS)]
    order: Literal["C", "F"] = "C"
    is_scalar: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Header).decode


def takes(kind: type) -> bool:
    """Tell whether values of a class travel.

    An array of another subclass may be more than its elements, as a masked one is.
    """
    return kind is np.ndarray or kind is np.memmap or issubclass(kind, np.generic)


def plain_or_bytes(value: Any) -> Any:  # noqa: ANN401
    """Return a plain value for a scalar that is no more than that, else a view of the bytes that stand for an array."""
    is_scalar = isinstance(value, np.generic)
    if is_scalar and value.dtype.kind in _PLAIN_KINDS:
        plain = value.item()
        if type(plain) in _PLAIN:  # a long double has no plain counterpart
            return plain
    array = np.asarray(value)
    order: Literal["C", "F"] = "F" if array.flags.fnc else "C"
    header = _encode(_Header(_described(array.dtype), array.shape, order, is_scalar))
    if len(header) > _MOST_HEADER_BYTES:
        message = f"a dtype with {len(array.dtype.names or ())} fields is too long"
        raise TypeError(message)
    start = _LENGTH_BYTES + len(header)
    # Where there is padding between fields it must not show what was in memory before.
    made = (np.zeros if array.dtype.names else np.empty)(start + array.nbytes, np.uint8)
    made[:start] = np.frombuffer(len(header).to_bytes(_LENGTH_BYTES, "big") + header, np.uint8)
    np.ndarray(array.shape, array.dtype, made.data, start, order=order)[...] = array
    return made.data


def from_bytes(data: memoryview) -> Any:  # noqa: ANN401
    """Make an array or a scalar; raises :class:`CodecError` and the like, and allocates no more than the bytes."""
    start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    header = _decode(data[_LENGTH_BYTES:start])
    dtype = _parsed(header.dtype)
    _check_dtype(dtype)
    expected = math.prod(header.shape) * dtype.itemsize
    if expected != len(data) - start:
        message = f"an array of {len(data) - start} bytes where dtype and shape make {expected}"
        raise CodecError(message)
    if header.is_scalar and header.shape:
        message = f"a scalar of shape {header.shape}"
        raise CodecError(message)
    # A view: nothing was allocated yet, whatever the header says.
    array: np.ndarray[Any, Any] = np.ndarray(header.shape, dtype, data[start:], order=header.order)
    if not may_share_bytes():
        array = array.copy(header.order)
    return array[()] if header.is_scalar else array


def adapts(annotation: Any) -> bool:  # noqa: ANN401
    """Tell whether an annotation asks for an array or a scalar."""
    cls = typing.get_origin(annotation) or annotation
    return cls is np.ndarray or (isinstance(cls, type) and issubclass(cls, np.generic))


def adapt(annotation: Any, value: Any) -> Any:  # noqa: ANN401
    """Return a value that fits the annotation, or raise a TypeError."""
    wanted = typing.get_origin(annotation) or annotation
    if wanted is not np.ndarray:
        return _adapt_scalar(wanted, value)
    if not isinstance(value, np.ndarray):
        _unfit("an array", type(value).__qualname__)
    shape, dtype = typing.get_args(annotation) or (Any, Any)
    _check_shape(shape, value)
    kinds = _kinds(dtype)
    if kinds and not any(_is_kind(value.dtype, kind) for kind in kinds):
        _unfit(f"an array of {' or '.join(kind.__name__ for kind in kinds)}", f"one of {value.dtype}")
    return value


def _check_shape(shape: Any, array: np.ndarray[Any, Any]) -> None:  # noqa: ANN401
    lengths = typing.get_args(shape) if typing.get_origin(shape) is tuple else (...,)
    if ... not in lengths and len(lengths) != array.ndim:
        _unfit(f"an array of {len(lengths)} dimensions", f"one of {array.ndim}")


def _kinds(dtype: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the scalar types of an annotation such as ``np.dtype[np.float64]``; none where any will do."""
    parts = typing.get_args(dtype) if typing.get_origin(dtype) is np.dtype else ()
    kind = parts[0] if parts else Any
    alternatives = typing.get_args(kind) if typing.get_origin(kind) in {typing.Union, types.UnionType} else (kind,)
    found: list[Any] = [typing.get_origin(alternative) or alternative for alternative in alternatives]
    return tuple(found) if all(isinstance(kind, type) and issubclass(kind, np.generic) for kind in found) else ()


def _is_kind(dtype: np.dtype[Any], kind: type) -> bool:
    if issubclass(dtype.type, kind):
        return True
    # Two types of C may be the same numbers, as `long` and `long long` are on some machines.
    return kind in set(np.sctypeDict.values()) and dtype.newbyteorder("=") == np.dtype(kind)


def _adapt_scalar(wanted: Any, value: Any) -> Any:  # noqa: ANN401
    if type(value) in _PLAIN:
        made = np.asarray(value)[()]
        if isinstance(made, wanted):
            return made
        if wanted in set(np.sctypeDict.values()) and np.dtype(wanted).kind in _WIDER[made.dtype.kind]:
            with np.errstate(over="ignore"):
                converted = made.astype(wanted)
            if converted.dtype.kind == "f" or converted == made:
                return converted
    elif isinstance(value, wanted):
        return value
    return _unfit(wanted.__name__, repr(value) if type(value) in {int, float} else type(value).__qualname__)


def _unfit(wanted: str, got: str) -> NoReturn:
    message = f"expected {wanted}, got {got}"
    raise TypeError(message)


# --- dtypes


@lru_cache(maxsize=256)
def _described(dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
    _check_dtype(dtype)
    described = _description(dtype)
    if _parsed(described) != dtype:  # a type of another library, or titles
        message = f"arrays of {dtype!r} cannot travel"
        raise TypeError(message)
    return described


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        message = f"arrays of {dtype} cannot travel: they hold references to Python objects"
        raise TypeError(message)
    if not dtype.itemsize or dtype.subdtype:
        message = f"arrays of {dtype} cannot travel: their elements have no size, or a shape"
        raise TypeError(message)


def _description(dtype: np.dtype[Any]) -> Any:  # noqa: ANN401
    if dtype.subdtype:
        return {"of": _description(dtype.subdtype[0]), "shape": dtype.subdtype[1]}
    if dtype.names is None:
        return dtype.str
    fields: Any = dtype.fields
    parts = [fields[name] for name in dtype.names]
    return {
        "names": dtype.names,
        "formats": [_description(part[0]) for part in parts],
        "offsets": [part[1] for part in parts],
        "itemsize": dtype.itemsize,
    }


def _parsed(described: Any) -> np.dtype[Any]:  # noqa: ANN401
    if isinstance(described, str) and _DTYPE.fullmatch(described):
        return np.dtype(described)
    if isinstance(described, dict) and "of" in described:
        return np.dtype((_parsed(described["of"]), tuple(described["shape"])))
    if isinstance(described, dict) and described.keys() == _FIELDS:
        layout: Any = {**described, "formats": [_parsed(part) for part in described["formats"]]}
        structured: np.dtype[Any] = np.dtype(layout)
        return structured
    message = f"no dtype: {described!r:.80}"
    raise CodecError(message)
