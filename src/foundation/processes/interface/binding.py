"""A class as one host calls and serves it: the decoders of its methods make references that belong to that host."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from foundation.core.codec import Codec, Decoder
from foundation.processes.interface.interface import MethodSpec, interface_of
from foundation.processes.interface.parameters import read_parameters
from foundation.processes.interface.plain import PlainMessages
from foundation.processes.interface.signature import Signature


class BoundMethod:
    """One method of a class; what its annotations cost is paid at its first use."""

    def __init__(self, spec: MethodSpec, codec: Codec) -> None:
        self.spec = spec
        self.name = spec.name
        self.function = spec.function
        self.stream = spec.stream
        self.aside = spec.aside
        self.idempotent = spec.idempotent
        self._codec = codec

    @cached_property
    def signature(self) -> Signature:
        """How it takes its arguments."""
        return Signature(self._codec, self.spec.parameters(), self.spec.owner)

    @cached_property
    def result(self) -> Decoder[Any]:
        """How its results, or its items, are decoded."""
        return self.spec.result_decoder(self._codec)


class Binding:
    """Everything that one host needs to call a class and to serve it."""

    def __init__(self, cls: type, codec: Codec) -> None:
        self.cls = cls
        self.codec = codec
        self.methods = {name: BoundMethod(spec, codec) for name, spec in interface_of(cls).items()}

    @cached_property
    def constructor(self) -> Signature:
        """How an instance is made."""
        where = self.cls.__name__
        return Signature(self.codec, read_parameters(self.cls.__init__, self.cls, where), self.cls)  # type: ignore[misc]

    @cached_property
    def plain(self) -> PlainMessages:
        """How plain messages are taken."""
        return PlainMessages(self.cls, self.codec)
