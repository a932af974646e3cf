"""What a class offers through references: its public methods, found once per class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from foundation.core.codec import Codec, Decoder
from foundation.processes.definition import is_offloaded_static, is_remote, public_members
from foundation.processes.interface.annotations import STREAMS, awaited, is_protocol, make_decoder, resolve, stream_item
from foundation.processes.interface.parameters import Parameters, read_parameters
from foundation.processes.process import Process


@dataclass(frozen=True)
class MethodSpec:
    """One public method of a class."""

    name: str
    owner: type
    """The class whose interface this is, which may have inherited the method."""

    function: Callable[..., Any]
    stream: bool
    """Whether it is an async generator."""

    aside: bool
    """Whether it runs beside the mailbox: streams do, and methods marked `concurrent`."""

    idempotent: bool
    """Whether its calls are made again when nobody knows what became of them."""

    @property
    def where(self) -> str:
        """The method, as error messages name it."""
        return f"{self.owner.__name__}.{self.name}"

    def parameters(self) -> Parameters:
        """Read the parameters; raises ProcessDefinitionError for unresolvable annotations."""
        return read_parameters(self.function, self.owner, self.where)

    def result_decoder(self, codec: Codec) -> Decoder[Any]:
        """Make the decoder of the result, or of one item of a stream."""
        annotation = resolve(self.function, self.owner, self.where).get("return", inspect.Parameter.empty)
        if self.stream:
            return make_decoder(codec, stream_item(annotation), self.owner, f"{self.where}: an item")
        return make_decoder(codec, awaited(annotation), self.owner, f"{self.where}: the result")


@functools.cache
def interface_of(cls: type) -> dict[str, MethodSpec]:
    """Return the methods of a process class or protocol that can be called through a reference, by name."""
    return {
        name: _spec(name, cls, member)
        for name, _, member in public_members(cls, Process)
        if is_remote(member) or (isinstance(member, FunctionType) and is_protocol(cls))
    }


def _spec(name: str, cls: type, member: Callable[..., Any]) -> MethodSpec:
    function = _as_method(member.__func__) if is_offloaded_static(member) else member
    stream = inspect.isasyncgenfunction(function) or (is_protocol(cls) and _promises_stream(function))
    aside = stream or bool(getattr(function, "__concurrent__", False))
    return MethodSpec(name, cls, function, stream, aside, hasattr(function, "__idempotent__"))


def _as_method(static: Callable[..., Any]) -> Callable[..., Any]:
    """Let a static method be called, and its parameters be read, like any other."""

    @functools.wraps(static)
    async def method(_: Process, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return await static(*args, **kwargs)

    signature = inspect.signature(static)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(parameters=[own, *signature.parameters.values()])  # type: ignore[attr-defined]
    return method


def _promises_stream(function: Callable[..., Any]) -> bool:
    # A protocol declares an async generator as `def watch(self) -> AsyncIterator[int]`.
    if inspect.iscoroutinefunction(function):
        return False
    annotation = function.__annotations__.get("return", "")
    shown = annotation if isinstance(annotation, str) else repr(annotation)
    return any(f"{stream.__name__}" in shown.split("[")[0] for stream in STREAMS)
