"""The frames that nodes exchange: MessagePack arrays that begin with a number for their kind.

New fields are added at the end, with a default: a node ignores the trailing fields that it does not know. The node that
a frame came from is told by the wire, never by the frame itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec import Raw, Struct

from foundation.core.identity import ProcessId

Keywords = dict[str, Raw] | None
NOTHING = Raw(b"\xc0")


class Hop(NamedTuple):
    """One process of a chain of calls, and what to call it."""

    process_id: ProcessId
    label: str


class Call(Struct, array_like=True, tag=1, gc=False):
    """Call a method; answered by a reply or a fault."""

    call: int
    serial: int
    method: str
    remaining_ms: int | None
    """What is left of the caller's patience: a duration, because clocks differ."""
    arguments: Raw
    keywords: Keywords = None
    chain: tuple[Hop, ...] = ()
    """The processes that wait for the caller, each in its own handler, the caller last; a call back to one of them
    could never be answered."""


class Cast(Struct, array_like=True, tag=2, gc=False):
    """Call a method without an answer."""

    serial: int
    method: str
    arguments: Raw
    keywords: Keywords = None


class Message(Struct, array_like=True, tag=3, gc=False):
    """Give a plain message to `handle_message`."""

    serial: int
    kind: str
    """The wire name of the message's class, by which a union of classes is told apart."""
    body: Raw


class Reply(Struct, array_like=True, tag=4, gc=False):
    """The result of a call."""

    call: int
    result: Raw


class Fault(Struct, array_like=True, tag=5, gc=False):
    """A call or a stream ended with an error."""

    call: int
    by_handler: bool
    """False when the host refused the call: then it was surely not executed."""
    error_type: str
    text: str
    traceback: str = ""
    state: Raw = NOTHING
    """The error's arguments and attributes, where they could be encoded."""


class Cancel(Struct, array_like=True, tag=6, gc=False):
    """The caller does not wait any longer for a call or a stream."""

    call: int


class Open(Call, tag=7, gc=False):
    """Start a stream; answered by items and then an end or a fault."""

    credit: int = 0
    """How many items the reader takes before it grants more; 0 for any number."""


class Item(Struct, array_like=True, tag=8, gc=False):
    """The next item of a stream."""

    call: int
    value: Raw


class End(Struct, array_like=True, tag=9, gc=False):
    """A stream has no more items."""

    call: int


class More(Struct, array_like=True, tag=10, gc=False):
    """The reader of a stream takes so many more items."""

    call: int
    items: int


class Pressure(Struct, array_like=True, tag=11, gc=False):
    """The mailbox of a process fills up, or has emptied: send it nothing, or go on."""

    serial: int
    hold: bool


class Watch(Struct, array_like=True, tag=12, gc=False):
    """Say when a process ends; answered by a reply or a fault at that time, or by a fault at once."""

    call: int
    serial: int


Frame = Watch | Pressure | More | Call | Cast | Message | Reply | Fault | Cancel | Open | Item | End

Forward = Callable[[Cast | Message], None]
"""Takes what was sent to a process that goes on at another node."""
