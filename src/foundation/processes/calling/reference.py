"""References: objects whose methods run where the process lives.

For a type checker a reference to a `Counter` is a `Counter`; ``isinstance`` agrees. At run time it is an instance of a
class made once per process class and host, with one function per remote method.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any, ClassVar, Final, NoReturn, TypeGuard

from msgspec import Raw, Struct

from foundation.core.channels import Channel
from foundation.core.identity import ProcessId
from foundation.errors import ArgumentError, NoSuchNameError, NotDelivered
from foundation.processes.calling.calls import error_of
from foundation.processes.calling.dialer import Dialer
from foundation.processes.calling.following import elsewhere, find
from foundation.processes.calling.retrying import call_again
from foundation.processes.calling.streams import RemoteStream
from foundation.processes.definition import RESERVED
from foundation.processes.interface.binding import Binding, BoundMethod
from foundation.processes.messages import Keywords
from foundation.processes.process import Process

BY_OPTIONS: Final = float("nan")
"""As the limit of a reference: what the options of its node say when it is called."""


class Address(Struct, frozen=True, array_like=True):
    """Which process is meant, by its identity or by its name; this is also what travels."""

    process_id: ProcessId | None
    name: str | None
    wire_name: str
    """The class of the process as far as it is known, else empty."""


class Reference:
    """Stands for one process, by its identity or by its name; equal to every other reference to the same.

    What it holds itself has names with two underscores on each side, so that it hides no method of the process.
    """

    __slots__ = ("__address__", "__channel__", "__limit_s__", "__weakref__")
    __reference__ = True
    __binding__: ClassVar[Binding]
    __dialer__: ClassVar[Dialer]
    __address__: Address
    __limit_s__: float | None
    __channel__: Channel

    def __init__(self, address: Address, limit_s: float | None = BY_OPTIONS, channel: Channel = Channel.EVENTS) -> None:
        object.__setattr__(self, "__address__", address)
        object.__setattr__(self, "__limit_s__", limit_s)
        object.__setattr__(self, "__channel__", channel)

    @property
    def __timeout_s__(self) -> float | None:
        limit_s = self.__limit_s__
        return self.__dialer__.options.call_timeout_s if limit_s is BY_OPTIONS else limit_s

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.__binding__.cls

    @property
    def process_id(self) -> ProcessId:
        """The identity of the process; for a reference by name, of the one that has it now (NoSuchNameError)."""
        address = self.__address__
        known = address.process_id or self.__dialer__.known(str(address.name))
        if known is None:
            message = f"no process is named {address.name!r}, as far as this node knows"
            raise NoSuchNameError(message)
        return known

    @property
    def reference(self) -> Reference:
        """This reference itself."""
        return self

    def __eq__(self, other: object) -> bool:
        if not is_reference(other):
            return NotImplemented
        return _identity(self) == _identity(other)

    def __hash__(self) -> int:
        return hash(_identity(self))

    def __repr__(self) -> str:
        address = self.__address__
        return f"<reference to {self.__binding__.cls.__name__} {address.process_id or repr(address.name)}>"

    def __copy__(self) -> Reference:
        return self

    def __deepcopy__(self, _: object) -> Reference:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = f"{self!r} cannot be pickled: send it as an argument, a result or a field"
        raise TypeError(message)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(_explanation(self.__binding__.cls, name))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the class has under that name
        cls = self.__binding__.cls
        member = next((vars(owner)[name] for owner in cls.__mro__ if name in vars(owner)), None)
        if not name.startswith("_") and isinstance(member, (staticmethod, classmethod, type)):
            return getattr(cls, name)
        raise AttributeError(_explanation(cls, name))


def is_reference(value: object) -> TypeGuard[Reference]:
    """Tell a reference from the process that it pretends to be."""
    return issubclass(type(value), Reference)


def _identity(reference: Reference) -> ProcessId | str | None:
    return reference.__address__.process_id or reference.__address__.name


def _explanation(cls: type, name: str) -> str:
    if name in RESERVED:
        return f"{cls.__name__}.{name} is called by the process's own node, never through a reference"
    if name.startswith("_"):
        return f"{cls.__name__}.{name} is private to the process over there"
    return f"{cls.__name__}.{name} is state of the process over there, or nothing at all; add an async method"


def reference_class(binding: Binding, dialer: Dialer) -> type[Reference]:
    """Make the class of the references to a process class, for one host."""
    members: dict[str, Any] = {"__slots__": (), "__binding__": binding, "__dialer__": dialer}
    for name, method in binding.methods.items():
        members[name] = _streaming(method, dialer) if method.stream else _calling(method, dialer)
    return type(f"{binding.cls.__name__}Reference", (Reference,), members)


def _calling(method: BoundMethod, dialer: Dialer) -> Callable[..., Any]:
    def call(self: Reference, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        arguments, keywords = method.signature.encode(args, kwargs)
        target = self.__address__.process_id
        if method.idempotent:
            return _call_until_known(dialer, self, method, arguments, keywords)
        if target is None:
            return _call_by_name(dialer, self, method, arguments, keywords)
        return _call(dialer, target, method, arguments, keywords, self.__timeout_s__, self.__channel__)

    return _disguise(call, method)


def _streaming(method: BoundMethod, dialer: Dialer) -> Callable[..., Any]:
    def stream(self: Reference, /, *args: Any, **kwargs: Any) -> RemoteStream:  # noqa: ANN401
        arguments, keywords = method.signature.encode(args, kwargs)
        target = self.__address__.process_id or str(self.__address__.name)
        return RemoteStream(dialer, target, method, arguments, keywords, self.__channel__, self.__timeout_s__)

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
    channel: Channel,
) -> Any:  # noqa: ANN401
    calls = dialer.calls
    if calls.holds.held or not calls.room(target.node, channel):
        deadline = calls.deadline(timeout_s)
        await calls.wait_to_send(target, channel, deadline, aside=method.aside)
        timeout_s = calls.left_s(deadline)
    pending = calls.begin(target, method.name, arguments, keywords, timeout_s, channel)
    try:
        outcome = await pending.answer
    except BaseException:
        calls.abandon(pending)
        raise
    if type(outcome) is Raw:
        return method.result(outcome)
    raise error_of(outcome)


async def _call_by_name(
    dialer: Dialer, reference: Reference, method: BoundMethod, arguments: bytes, keywords: Keywords
) -> Any:  # noqa: ANN401
    name = str(reference.__address__.name)
    channel, calls = reference.__channel__, dialer.calls
    deadline = calls.deadline(reference.__timeout_s__)
    target = dialer.known(name) or await find(dialer, name, deadline)
    while True:
        try:
            return await _call(dialer, target, method, arguments, keywords, calls.left_s(deadline), channel)
        except NotDelivered:  # nothing was executed
            moved_to = await elsewhere(dialer, name, target, deadline)
            if moved_to is None:
                raise
            target = moved_to


async def _call_until_known(
    dialer: Dialer, reference: Reference, method: BoundMethod, arguments: bytes, keywords: Keywords
) -> Any:  # noqa: ANN401
    identity, name = reference.__address__.process_id, str(reference.__address__.name)

    async def attempt(left_s: float | None) -> Any:  # noqa: ANN401
        target = identity or dialer.known(name) or await find(dialer, name, dialer.calls.deadline(left_s))
        return await _call(dialer, target, method, arguments, keywords, left_s, reference.__channel__)

    return await call_again(attempt, dialer.calls, reference.__timeout_s__, may_move=identity is None)


def remote_method(method: Any) -> tuple[Reference, BoundMethod]:  # noqa: ANN401
    """Return the reference and the method behind ``counter.add``, also behind ``self.add`` within a process."""
    owner = getattr(method, "__self__", None)
    if isinstance(owner, Process) and not is_reference(owner):
        method = getattr(owner.reference, method.__name__)
        owner = owner.reference
    function = getattr(method, "__func__", None)
    bound = getattr(function, "__remote__", None)
    if not isinstance(function, FunctionType) or not isinstance(bound, BoundMethod):
        message = f"expected a method of a reference, such as counter.add, got {method!r}"
        raise ArgumentError(message)
    return owner, bound  # type: ignore[return-value]
