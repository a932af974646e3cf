"""The arguments of one method: checked and encoded at the caller, decoded to their annotations at the process."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Container
from functools import partial
from typing import Any, NoReturn

from msgspec import Raw

from foundation.core.codec import Bytes, Codec, Decoder, check
from foundation.errors import ArgumentError, CodecError
from foundation.processes.interface.annotations import SCALARS, make_decoder, wire_type
from foundation.processes.interface.parameters import Parameters
from foundation.processes.messages import Keywords

_MOST_PROVEN = 64
_SHORT_ARRAY = 0x90
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_INDEX = re.compile(r"^\[(?P<index>\d+)\](?P<rest>.*)$", re.DOTALL)
_split = Codec().decoder(list[Raw])


class Everything(Container[type]):
    """The types that fit where anything fits."""

    def __contains__(self, _: object) -> bool:
        return True


class Signature:
    """How one method takes its arguments, for one host (whose references the decoded arguments hold)."""

    def __init__(self, codec: Codec, parameters: Parameters, owner: type) -> None:
        self._codec = codec
        self._parameters = parameters
        where = parameters.where
        self._single = {
            name: make_decoder(codec, annotation, owner, f"{where}: parameter {name!r}")
            for name, annotation in parameters.annotations.items()
        }
        self._types = [wire_type(parameters.annotations[name], owner) for name in parameters.positional]
        self._fits = [_types_that_fit(codec, kind) for kind in self._types]
        self._proven: set[tuple[type, ...]] = set()
        self._by_count: dict[int, Decoder[Any]] = {}
        # Where nothing is optional one decoder will do; else the number of values in the array chooses.
        fixed = not parameters.optional and parameters.rest is None
        self._only = self._for_count(len(self._types)) if fixed and not parameters.keyword_only else None

    def encode(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, Keywords]:
        """Check the arguments and encode them, or raise :class:`ArgumentError`."""
        if not kwargs and tuple(map(type, args)) in self._proven:
            try:
                return self._codec.encode(args), None
            except Exception:  # noqa: BLE001 - an integer beyond 64 bits, a lone surrogate: named below
                self._blame_value(args)
        args, kwargs = self._parameters.arrange(args, kwargs)
        try:
            encoded = self._codec.encode(args)
        except Exception:  # noqa: BLE001 - whatever a value of the user raises
            self._blame_value(args)
        try:
            check(self._decode_array, encoded)
        except CodecError as error:
            self._blame_type(error)
        if not kwargs:
            self._learn(args)
            return encoded, None
        return encoded, {name: Raw(self._encode_named(name, value)) for name, value in kwargs.items()}

    def decode(self, arguments: Bytes, keywords: Keywords) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and keyword arguments, or raise :class:`CodecError`; the bytes may be anything."""
        args = self._decode_array(arguments) if self._only is None else self._only(arguments)
        if not keywords:
            return args, {}
        return args, {name: self._decode_named(name, value) for name, value in keywords.items()}

    def _decode_array(self, data: Bytes) -> tuple[Any, ...]:
        if self._only is not None:
            return self._only(data)  # type: ignore[no-any-return]
        count = _count(data)
        if count <= len(self._types):
            return (self._by_count.get(count) or self._for_count(count))(data)  # type: ignore[no-any-return]
        return self._decode_long(_split(data))

    def _decode_long(self, values: list[Raw]) -> tuple[Any, ...]:
        parameters = self._parameters
        if parameters.rest is None:
            message = f"{len(values)} values for {len(self._types)} parameters"
            raise CodecError(message)
        decoded = []
        for index, value in enumerate(values):
            name = parameters.positional[index] if index < len(parameters.positional) else parameters.rest
            try:
                decoded.append(self._single[name](value))
            except CodecError as error:
                found = _WHERE.match(str(error))
                path = (found["path"] or "") if found else ""
                message = f"{found['what'] if found else error} - at `$[{index}]{path}`"
                raise CodecError(message) from error
        return tuple(decoded)

    def _for_count(self, count: int) -> Decoder[Any]:
        made = self._codec.decoder(tuple[tuple(self._types[:count])])  # type: ignore[misc]
        self._by_count[count] = made
        return made

    def _decoder_of(self, name: str) -> Decoder[Any] | None:
        parameters = self._parameters
        if name in parameters.keyword_only or name in parameters.positional:
            return self._single[name]
        return self._single[parameters.named_rest] if parameters.named_rest else None

    def _decode_named(self, name: str, value: Bytes) -> Any:  # noqa: ANN401
        decoder = self._decoder_of(name)
        if decoder is None:
            message = f"unknown argument {name!r}"
            raise CodecError(message)
        return decoder(value)

    def _encode_named(self, name: str, value: object) -> bytes:
        try:
            encoded = self._codec.encode(value)
        except Exception as error:  # noqa: BLE001
            self._blame(name, f"cannot travel: {error}", error)
        try:
            check(partial(self._decode_named, name), encoded)
        except CodecError as error:
            what, path = _readable(str(error))
            self._blame(name, what, error, path)
        return encoded

    def _learn(self, args: tuple[Any, ...]) -> None:
        # Where only the types of the arguments decide whether they fit, the next check is one look-up.
        kinds = tuple(map(type, args))
        if len(args) > len(self._types) or len(self._proven) >= _MOST_PROVEN:
            return
        if all(kind in fits for kind, fits in zip(kinds, self._fits, strict=False)):
            self._proven.add(kinds)

    def _blame_value(self, args: tuple[Any, ...]) -> NoReturn:
        for index, value in enumerate(args):
            try:
                self._codec.encode(value)
            except Exception as error:  # noqa: BLE001
                self._blame(self._name_at(index), f"cannot travel: {error}", error)
        message = f"{self._parameters.where}: the arguments cannot travel"  # only a value that changes its mind
        raise ArgumentError(message)

    def _blame_type(self, error: CodecError) -> NoReturn:
        what, path = _readable(str(error))
        at = _INDEX.match(path)
        if at is None:
            self._blame(None, what, error)
        self._blame(self._name_at(int(at["index"])), what, error, at["rest"])

    def _name_at(self, index: int) -> str | None:
        names = self._parameters.positional
        return names[index] if index < len(names) else self._parameters.rest

    def _blame(self, name: str | None, what: str, cause: Exception, path: str = "") -> NoReturn:
        inside = f" at {path}" if path else ""
        argument = f"argument {name!r}{inside}: " if name else ""
        message = f"{self._parameters.where}: {argument}{what}"
        raise ArgumentError(message) from cause


def _count(data: Bytes) -> int:
    """Return how many values an encoded array has; nearly always its first byte says so."""
    view = memoryview(data)
    if view and view[0] & 0xF0 == _SHORT_ARRAY:
        return int(view[0] & 0x0F)
    return len(_split(data))


def _readable(message: str) -> tuple[str, str]:
    """Split the codec's message into words for people and the path to the wrong value."""
    found = _WHERE.match(message)
    if found is None:
        return message, ""
    what = found["what"].replace("`", "")
    return what[:1].lower() + what[1:], found["path"] or ""


def _types_that_fit(codec: Codec, kind: Any) -> Container[type]:  # noqa: ANN401
    """Return the types whose every value fits ``kind``, as far as that is plain."""
    if kind is Any:
        return Everything()
    if kind is float:
        return frozenset({float, int})
    if kind is None or (isinstance(kind, type) and kind in SCALARS):
        return frozenset({kind or type(None)})
    if isinstance(kind, type) and codec.takes(kind):
        return frozenset({kind})
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        parts = [_types_that_fit(codec, part) for part in typing.get_args(kind)]
        return frozenset().union(*(part for part in parts if isinstance(part, frozenset)))
    return frozenset()
