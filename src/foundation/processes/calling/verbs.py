"""What can be done with a reference besides calling its methods: cast, send, options."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from msgspec import Raw

from foundation.core.channels import Channel, ChannelName
from foundation.core.identity import ProcessId
from foundation.errors import ArgumentError
from foundation.processes.calling.reference import Reference, is_reference, remote_method
from foundation.processes.messages import Cast, Keywords, Message
from foundation.processes.process import Process

P = ParamSpec("P")
T = TypeVar("T")

_UNSET: Any = object()


def cast(
    method: Callable[P, Coroutine[Any, Any, Any]], /, *args: P.args, **kwargs: P.kwargs
) -> Coroutine[Any, Any, None]:
    """Have a method of a reference called without waiting for its end.

    ``await cast(counter.add, 3)`` returns as soon as the call is on its way. The arguments are checked at once.
    Nobody hears of an error in the handler, except the log over there. It waits while the mailbox over there is full,
    up to the time-out of the reference, and then raises Overloaded.
    """
    reference, bound = remote_method(method)
    if bound.stream:
        message = f"{bound.spec.where} is a stream, and somebody must read it: use `async for`"
        raise ArgumentError(message)
    arguments, keywords = bound.signature.encode(args, kwargs)
    return _cast(reference, bound.name, arguments, keywords)


def send(reference: object, message: object) -> Coroutine[Any, Any, None]:
    """Give a plain message to the `handle_message` of a process, without waiting for it.

    The message is checked at once, as far as the class of the process is known here.
    """
    receiver = _reference_of(reference)
    kind, body = receiver.__binding__.plain.encode(message)
    return _send(receiver, kind, body)


def options(reference: T, *, timeout_s: float | None = _UNSET, channel: ChannelName | None = None) -> T:
    """Return a reference to the same process whose calls have other limits, or travel in another channel.

    ``timeout_s`` is the seconds until a call ends with CallTimeout; None waits for ever. A stream has no limit.

    ``channel`` is the lane of what is sent through the reference, and of what comes back: ``"control"`` for what is
    urgent, ``"events"`` as without it, ``"telemetry"``, and ``"data"`` for bulk. Lanes do not wait for each other, the
    more urgent goes first, and order holds within each, not between them.
    """
    known = _reference_of(reference)
    limit_s = known.__limit_s__ if timeout_s is _UNSET else timeout_s
    lane = known.__channel__ if channel is None else Channel.named(channel)
    return type(known)(known.__address__, limit_s, lane)  # type: ignore[return-value]


def name_of(reference: object) -> str | None:
    """Return the name that a reference goes by; None for one by identity, and for what is no reference."""
    return reference.__address__.name if is_reference(reference) else None


def _reference_of(value: object) -> Reference:
    if is_reference(value):
        return value
    if isinstance(value, Process):
        return value.reference  # type: ignore[return-value]
    message = f"expected a reference to a process, got {type(value).__name__}"
    raise ArgumentError(message)


async def _cast(reference: Reference, method: str, arguments: bytes, keywords: Keywords) -> None:
    target = await _target(reference)
    frame = Cast(target.serial, method, Raw(arguments), keywords)
    await reference.__dialer__.post(target, frame, reference.__channel__, reference.__timeout_s__)


async def _send(reference: Reference, kind: str, body: bytes) -> None:
    target = await _target(reference)
    frame = Message(target.serial, kind, Raw(body))
    await reference.__dialer__.post(target, frame, reference.__channel__, reference.__timeout_s__)


async def _target(reference: Reference) -> ProcessId:
    address = reference.__address__
    return address.process_id or await reference.__dialer__.find(str(address.name))
