"""From the annotations of a method to types that can be decoded from the wire."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from foundation.core.codec import Codec, Decoder
from foundation.errors import ProcessDefinitionError

STREAMS = (collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable)
_AWAITABLES = (collections.abc.Awaitable, collections.abc.Coroutine)


class AnyReference(type):
    """The type of stand-ins for protocols: a class whose instances are all references."""

    protocol: Any

    def __instancecheck__(cls, instance: object) -> bool:
        return hasattr(type(instance), "__reference__")


def is_protocol(annotation: object) -> bool:
    """Tell whether an annotation is a class that derives from `typing.Protocol`."""
    return isinstance(annotation, type) and bool(getattr(annotation, "_is_protocol", False))


@functools.cache
def stand_in(protocol: type) -> type:
    """Return a class that the codec accepts where ``protocol`` is asked for."""
    return AnyReference(protocol.__name__, (), {"protocol": protocol})


def resolve(function: Callable[..., Any], owner: type, where: str) -> dict[str, Any]:
    """Return the evaluated annotations of ``function``, or raise :class:`ProcessDefinitionError` naming the culprit."""
    namespace = {**getattr(owner, "__enclosing__", {}), **_nested(owner), owner.__name__: owner}
    found: dict[str, Any] = {}
    for parameter, annotation in inspect.get_annotations(inspect.unwrap(function)).items():
        try:
            found[parameter] = _evaluate(function, parameter, annotation, namespace)
        except Exception as error:
            what = "the result" if parameter == "return" else f"parameter {parameter!r}"
            message = (
                f"{where}: the annotation {annotation!r} of {what} cannot be resolved ({error}); "
                f"it must be importable at run time, not only under TYPE_CHECKING"
            )
            raise ProcessDefinitionError(message) from error
    return found


def _nested(owner: type) -> dict[str, Any]:
    return {name: member for name, member in vars(owner).items() if isinstance(member, type)}


def _evaluate(function: Callable[..., Any], name: str, annotation: object, namespace: Mapping[str, Any]) -> Any:  # noqa: ANN401
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    module = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, module, dict(namespace), include_extras=True)[name]
    except NameError:
        # Names that linters move under TYPE_CHECKING, and whose meaning nobody doubts.
        usual = {**vars(collections.abc), **vars(typing), **namespace}
        return typing.get_type_hints(holder, module, usual, include_extras=True)[name]


def wire_type(annotation: Any, owner: type) -> Any:  # noqa: ANN401
    """Rewrite an annotation for the codec: protocols become stand-ins, `Self` the class, what is missing anything."""
    if annotation is inspect.Parameter.empty or annotation is object or isinstance(annotation, typing.TypeVar):
        return Any
    annotation = owner if annotation is typing.Self else annotation
    origin = typing.get_origin(annotation)
    if is_protocol(annotation) or is_protocol(origin):
        return stand_in(origin or annotation)
    if origin is None or origin is typing.Literal:
        return annotation
    return _rewrite_parts(annotation, origin, owner)


def _rewrite_parts(annotation: Any, origin: Any, owner: type) -> Any:  # noqa: ANN401
    parts = typing.get_args(annotation)
    if origin is typing.Annotated:
        return typing.Annotated[(wire_type(parts[0], owner), *parts[1:])]
    rewritten = tuple(part if part is ... else wire_type(part, owner) for part in parts)
    if rewritten == parts:
        return annotation
    if origin in {typing.Union, types.UnionType}:
        return functools.reduce(operator.or_, rewritten)
    return annotation.copy_with(rewritten) if hasattr(annotation, "copy_with") else origin[rewritten]


def stream_item(annotation: Any) -> Any:  # noqa: ANN401
    """Return the item type of an annotation such as ``AsyncIterator[int]``; anything if it has none."""
    if typing.get_origin(annotation) in STREAMS:
        return typing.get_args(annotation)[0]
    return inspect.Parameter.empty


def awaited(annotation: Any) -> Any:  # noqa: ANN401
    """Return what awaiting an annotation such as ``Awaitable[int]`` gives; other annotations as they are."""
    if typing.get_origin(annotation) in _AWAITABLES:
        return typing.get_args(annotation)[-1]
    return annotation


def make_decoder(codec: Codec, annotation: Any, owner: type, where: str) -> Decoder[Any]:  # noqa: ANN401
    """Make the decoder for an annotation, or raise :class:`ProcessDefinitionError` that says why there is none."""
    shown = getattr(annotation, "__name__", None) if isinstance(annotation, type) else repr(annotation)
    try:
        kind = wire_type(annotation, owner)
        decoder = codec.decoder(kind)
        bad = next((cls for cls in custom_classes(kind) if not _travels(codec, cls)), None)
    except (TypeError, ValueError, NameError) as error:
        message = f"{where} is annotated {shown}, which cannot travel: {error}"
        raise ProcessDefinitionError(message) from error
    if bad is not None:
        cure = (
            "decorate it with @typing.runtime_checkable"
            if is_protocol(bad)
            else "make it a dataclass, or hand it to foundation.register_type"
        )
        message = f"{where} is annotated {shown}, and {bad.__qualname__} cannot travel: {cure}"
        raise ProcessDefinitionError(message)
    return decoder


def _travels(codec: Codec, cls: type) -> bool:
    if is_protocol(cls) and not getattr(cls, "_is_runtime_protocol", False):
        return False  # within a dataclass: there the codec sees the protocol itself
    return codec.adapts(cls)


SCALARS = frozenset({int, str, float, bool, bytes, type(None)})


def custom_classes(kind: Any) -> list[type]:  # noqa: ANN401
    """Return the classes within a type that the codec does not know itself."""
    if kind is Any or kind in SCALARS:
        return []
    import msgspec.inspect  # noqa: PLC0415 - only where types are more than scalars

    found: list[type] = []
    seen: set[int] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(kind)]
    while waiting:
        info = waiting.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.CustomType):
            found.append(typing.get_origin(info.cls) or info.cls)
        elif isinstance(info, (msgspec.inspect.Type, msgspec.inspect.Field)):
            waiting.extend(_parts(info))
    return found


def _parts(info: Any) -> list[Any]:  # noqa: ANN401
    parts: list[Any] = []
    for name in info.__struct_fields__:
        value = getattr(info, name, None)
        parts.extend(value if isinstance(value, tuple) else [value])
    return parts
