"""References: objects whose methods run where the process lives.

For a type checker a reference to a `Counter` is a `Counter`; ``isinstance`` agrees. At run time it is an instance of a
class made once per process class and host, with one function per remote method.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any, ClassVar, NoReturn, Protocol

from msgspec import Raw

from foundation.core.identity import ProcessId
from foundation.errors import ArgumentError, NoSuchNameError, NotDelivered
from foundation.processes.binding import Binding, BoundMethod
from foundation.processes.calls import Calls, error_of
from foundation.processes.definition import RESERVED
from foundation.processes.messages import Cast, Keywords, Message
from foundation.processes.process import Process
from foundation.processes.streams import RemoteStream

UNSET: Any = object()


class Dialer(Protocol):
    """The host as a reference sees it."""

    calls: Calls

    def post(self, target: ProcessId, frame: Cast | Message) -> None:
        """Send a frame that nobody answers."""
        ...

    def known(self, name: str) -> ProcessId | None:
        """Return the process that had the name when it was last asked for."""
        ...

    async def find(self, name: str) -> ProcessId:
        """Return the process that has the name, asking others if need be."""
        ...

    def forget(self, name: str, process_id: ProcessId) -> None:
        """Ask again next time, unless somebody has done so already."""
        ...


class Reference:
    """Stands for one process, by its identity or by its name; equal to every other reference to the same."""

    __slots__ = ("__weakref__", "_name", "_process_id", "_timeout_s", "_wire_name")
    __reference__ = True
    _binding: ClassVar[Binding]
    _dialer: ClassVar[Dialer]

    def __init__(
        self, process_id: ProcessId | None, name: str | None, timeout_s: float | None, wire_name: str = ""
    ) -> None:
        put = object.__setattr__
        put(self, "_process_id", process_id)
        put(self, "_name", name)
        put(self, "_timeout_s", timeout_s)
        put(self, "_wire_name", wire_name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return self._binding.cls

    @property
    def process_id(self) -> ProcessId:
        """The identity of the process; for a reference by name the one it had when it was last called."""
        if self._process_id is not None:
            return self._process_id
        known = self._dialer.known(self._name or "")
        if known is None:
            message = f"{self!r} was not looked up yet: call it first"
            raise NoSuchNameError(message)
        return known

    @property
    def reference(self) -> Reference:
        """This reference itself."""
        return self

    def __eq__(self, other: object) -> bool:
        if not issubclass(type(other), Reference):
            return NotImplemented
        return identity(self) == identity(other)

    def __hash__(self) -> int:
        return hash(identity(self))

    def __repr__(self) -> str:
        where = self._process_id if self._name is None else repr(self._name)
        return f"<reference to {self._binding.cls.__name__} {where}>"

    def __copy__(self) -> Reference:
        return self

    def __deepcopy__(self, memo: object) -> Reference:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = f"{self!r} cannot be pickled: send it as an argument, a result or a field"
        raise TypeError(message)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self._explain(name)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        member = _raw_member(self._binding.cls, name)
        if not name.startswith("_") and isinstance(member, (staticmethod, classmethod, type)):
            return getattr(self._binding.cls, name)
        self._explain(name)

    def _explain(self, name: str) -> NoReturn:
        owner = self._binding.cls.__name__
        if name in RESERVED:
            message = f"{owner}.{name} is called by the process's own node, never through a reference"
        elif name.startswith("_"):
            message = f"{owner}.{name} is private to the process over there"
        else:
            message = f"{owner}.{name} is state of the process over there, or nothing at all; add an async method"
        raise AttributeError(message)


def identity(reference: Any) -> ProcessId | str:  # noqa: ANN401
    """Return what makes two references equal."""
    name: str | None = reference._name  # noqa: SLF001
    return reference._process_id if name is None else name  # type: ignore[no-any-return]  # noqa: SLF001


def _raw_member(cls: type, name: str) -> object:
    return next((vars(owner)[name] for owner in cls.__mro__ if name in vars(owner)), None)


def reference_class(binding: Binding, dialer: Dialer) -> type[Reference]:
    """Make the class of the references to a process class, for one host."""
    members: dict[str, Any] = {"__slots__": (), "_binding": binding, "_dialer": dialer}
    for name, method in binding.methods.items():
        members[name] = _streaming(method) if method.stream else _calling(method, dialer)
    return type(f"{binding.cls.__name__}Reference", (Reference,), members)


def _calling(method: BoundMethod, dialer: Dialer) -> Callable[..., Any]:
    def call(self: Reference, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        arguments, keywords = method.signature.encode(args, kwargs)
        if self._process_id is None:
            return _call_by_name(dialer, self, method, arguments, keywords)
        return _call(dialer, self._process_id, method, arguments, keywords, self._timeout_s)

    return _disguise(call, method)


def _streaming(method: BoundMethod) -> Callable[..., Any]:
    def stream(self: Reference, /, *args: Any, **kwargs: Any) -> RemoteStream:
        arguments, keywords = method.signature.encode(args, kwargs)
        return RemoteStream(self._dialer, self._process_id or str(self._name), method, arguments, keywords)

    return _disguise(stream, method)


def _disguise(function: Any, method: BoundMethod) -> Callable[..., Any]:  # noqa: ANN401
    function.__name__ = method.name
    function.__qualname__ = method.spec.where
    function.__doc__ = method.function.__doc__
    function.__wrapped__ = method.function
    function.__remote__ = method
    return function  # type: ignore[no-any-return]


async def _call(
    dialer: Dialer,
    target: ProcessId,
    method: BoundMethod,
    arguments: bytes,
    keywords: Keywords,
    timeout_s: float | None,
) -> Any:  # noqa: ANN401
    calls = dialer.calls
    pending = calls.begin(target, method.name, arguments, keywords, timeout_s)
    try:
        outcome = await pending.answer
    except BaseException:
        calls.abandon(pending)
        raise
    if type(outcome) is Raw:
        return method.result(outcome)
    raise error_of(outcome)  # type: ignore[arg-type]


async def _call_by_name(
    dialer: Dialer, reference: Reference, method: BoundMethod, arguments: bytes, keywords: Keywords
) -> Any:  # noqa: ANN401
    name = str(reference._name)  # noqa: SLF001
    timeout_s = reference._timeout_s  # noqa: SLF001
    remembered = dialer.known(name)
    target = remembered or await dialer.find(name)
    try:
        return await _call(dialer, target, method, arguments, keywords, timeout_s)
    except NotDelivered:
        dialer.forget(name, target)
        if remembered is None:
            raise
    # What was remembered is out of date and nothing was executed: the name may have moved.
    return await _call(dialer, await dialer.find(name), method, arguments, keywords, timeout_s)


def remote_method(method: Any) -> tuple[Reference, BoundMethod]:  # noqa: ANN401
    """Return the reference and the method behind ``counter.add``, also behind ``self.add`` within a process."""
    owner = getattr(method, "__self__", None)
    if isinstance(owner, Process) and not issubclass(type(owner), Reference):
        method = getattr(owner.reference, method.__name__)
        owner = owner.reference
    function = getattr(method, "__func__", None)
    bound = getattr(function, "__remote__", None)
    if not isinstance(function, FunctionType) or not isinstance(bound, BoundMethod):
        message = f"expected a method of a reference, such as counter.add, got {method!r}"
        raise ArgumentError(message)
    return owner, bound  # type: ignore[return-value]
