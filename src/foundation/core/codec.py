"""MessagePack for everything that leaves a process: typed where it is decoded, and nothing is imported or pickled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from foundation.errors import CodecError

T = TypeVar("T")
Bytes = bytes | bytearray | memoryview | msgspec.Raw


_LARGE_BYTES = 64 << 10
_may_share: ContextVar[bool] = ContextVar("may_share", default=False)


def check(decode: Callable[[bytes], object], data: bytes) -> None:
    """Decode bytes only to see whether they fit: large values need not be copied for that."""
    if len(data) < _LARGE_BYTES:
        decode(data)
        return
    token = _may_share.set(True)
    try:
        decode(data)
    finally:
        _may_share.reset(token)


def may_share_bytes() -> bool:
    """Tell an extension whether what it makes may lie in the bytes it is made from, and be read-only."""
    return _may_share.get()


@dataclass(frozen=True, slots=True)
class Extension:
    """How values that MessagePack does not know travel: as an extension type of their own."""

    code: int
    """The extension type on the wire, 0 to 127; the same on every node."""

    name: str
    """What it is for, in error messages."""

    takes: Callable[[type], bool]
    """Whether values of a class are encoded by :attr:`to_wire`."""

    to_wire: Callable[[Any], Any]
    """Return what is encoded in place of a value: an ``Ext`` of the code, or plain data."""

    from_wire: Callable[[memoryview], Any]
    """Make the value that an untyped position gets; the bytes are from outside and may be anything."""

    adapts: Callable[[Any], bool]
    """Whether an annotation asks for values of this extension."""

    adapt: Callable[[Any, Any], Any]
    """Fit a decoded value to an annotation, or raise a TypeError that says what was expected."""


class Decoder(Generic[T]):
    """Decode bytes to one annotation; whatever goes wrong is a :class:`CodecError`."""

    __slots__ = ("_decode",)

    def __init__(self, decode: Callable[[Bytes], T]) -> None:
        self._decode = decode

    def __call__(self, data: Bytes) -> T:
        """Return what the bytes stand for."""
        try:
            return self._decode(data)
        except Exception as error:  # hooks and the engine may raise anything when the bytes are hostile
            raise CodecError(str(error) or type(error).__name__) from error


class Codec:
    """An encoder, and decoders by annotation, that share a set of extensions.

    Where two extensions take a class, or adapt an annotation, the one that was added first does.
    """

    def __init__(self, extensions: Iterable[Extension] = ()) -> None:
        self._extensions: dict[int, Extension] = {}
        for extension in extensions:
            self.register(extension)
        self.encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=self._encode_other).encode
        """Encode a value of this program; raises TypeError, OverflowError or ValueError for what cannot travel."""

    def register(self, extension: Extension) -> None:
        """Add an extension; its code must be free."""
        if extension.code in self._extensions:
            message = f"extension code {extension.code} is taken by {self._extensions[extension.code].name}"
            raise ValueError(message)
        self._extensions[extension.code] = extension

    def replacing(self, extension: Extension) -> Codec:
        """Return a codec with the same extensions, but with this one in place of the one that has its code."""
        return Codec({**self._extensions, extension.code: extension}.values())

    def decoder(self, annotation: Any) -> Decoder[Any]:  # noqa: ANN401 - annotations have no common type
        """Make a decoder for ``annotation``; raises TypeError when no bytes could ever become that."""
        made = msgspec.msgpack.Decoder(annotation, dec_hook=self._decode_other, ext_hook=self._decode_extension)
        return Decoder(made.decode)

    def adapts(self, annotation: Any) -> bool:  # noqa: ANN401
        """Tell whether a class that MessagePack does not know is one of an extension's."""
        return any(extension.adapts(annotation) for extension in self._extensions.values())

    def takes(self, kind: type) -> bool:
        """Tell whether values of exactly this class travel by an extension."""
        return any(extension.takes(kind) for extension in self._extensions.values())

    def _encode_other(self, value: Any) -> Any:  # noqa: ANN401
        kind = type(value)  # not value.__class__: a reference pretends to be its process
        for extension in self._extensions.values():
            if extension.takes(kind):
                return extension.to_wire(value)
        message = (
            f"{kind.__module__}.{kind.__qualname__} cannot travel; "
            f"make it a dataclass or a msgspec.Struct, or hand it to foundation.register_type"
        )
        raise TypeError(message)

    def _decode_extension(self, code: int, data: memoryview) -> Any:  # noqa: ANN401
        extension = self._extensions.get(code)
        if extension is None:
            message = f"unknown extension type {code}"
            raise ValueError(message)
        return extension.from_wire(data)

    def _decode_other(self, annotation: Any, value: Any) -> Any:  # noqa: ANN401
        for extension in self._extensions.values():
            if extension.adapts(annotation):
                return extension.adapt(annotation, value)
        message = f"values of {annotation!r} cannot travel"
        raise TypeError(message)
