"""Plain messages: from what was sent to what `handle_message` expects."""

from __future__ import annotations

import types
import typing
from functools import partial
from typing import Any

from foundation.core.codec import Bytes, Codec, Decoder, check
from foundation.errors import ArgumentError, CodecError, ProcessDefinitionError
from foundation.processes.catalog import wire_name_of
from foundation.processes.interface.annotations import make_decoder
from foundation.processes.interface.parameters import read_parameters


class PlainMessages:
    """The messages of one class, decoded to the annotation of its `handle_message`.

    A union of classes that bytes alone cannot tell apart (two dataclasses) is decided by the name of the class that
    was sent, so ``match`` works on what arrives.
    """

    def __init__(self, cls: type, codec: Codec) -> None:
        self._codec = codec
        self._where = f"{cls.__name__}.handle_message"
        handler = getattr(cls, "handle_message", None)
        parameters = read_parameters(handler, cls, self._where) if handler else None
        annotation: Any = parameters.annotations[parameters.positional[0]] if parameters else Any
        self._by_kind: dict[str, Decoder[Any]] = {}
        self._any: Decoder[Any] | None = None
        for member in _members(annotation):
            if isinstance(member, type):
                self._by_kind[wire_name_of(member)] = make_decoder(codec, member, cls, self._where)
        try:
            self._any = make_decoder(codec, annotation, cls, self._where)
        except ProcessDefinitionError:
            if len(self._by_kind) != len(_members(annotation)):
                raise

    def encode(self, message: object) -> tuple[str, bytes]:
        """Check a message and return the name of its class and its bytes, or raise :class:`ArgumentError`."""
        kind = wire_name_of(type(message))
        try:
            body = self._codec.encode(message)
            check(partial(self.decode, kind), body)
        except Exception as error:
            text = f"{self._where}: {error}"
            raise ArgumentError(text) from error
        return kind, body

    def decode(self, kind: str, body: Bytes) -> Any:  # noqa: ANN401
        """Return the message, or raise :class:`CodecError`."""
        decoder = self._by_kind.get(kind, self._any)
        if decoder is None:
            text = f"expected one of {', '.join(sorted(self._by_kind))}, got {kind}"
            raise CodecError(text)
        return decoder(body)


def _members(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)
