"""What nodes say to each other about names; it travels behind the rows that were written before it."""

from __future__ import annotations

from msgspec import Struct

from foundation.core.identity import NodeId


class Claim(Struct, array_like=True, tag=1, frozen=True):
    """To a name's home: may my process have this name?"""

    number: int
    key: str
    serial: int
    """Of the process, which runs at the node that asks."""
    view: int
    """Under which view the one that is asked is the home."""
    version: int
    """How far the own table of who asks has come: what it has given back must not count."""
    round: int
    """In which installment of the view who asks is: a later one than it has confirmed makes that worthless."""
    life: int = 0
    """Of a child that has lost its node and is to run again: its life. Else 0."""


class Granted(Struct, array_like=True, tag=2, frozen=True):
    """The name is yours, if you are still in the installment of the view in which you confirmed it to me."""

    number: int
    key: str
    epoch: int
    round: int


class Taken(Struct, array_like=True, tag=3, frozen=True):
    """Another process has the name."""

    number: int
    node: NodeId
    serial: int


class Retry(Struct, array_like=True, tag=4, frozen=True):
    """Your view is not mine; ask again when they are the same."""

    number: int


class Dropped(Struct, array_like=True, tag=5, frozen=True):
    """What you granted is not used, or has been: my table says so from this version on. Or what you decided is void."""

    key: str
    epoch: int
    version: int
    round: int


class Flush(Struct, array_like=True, tag=6, frozen=True):
    """I am in this view and ask for the so-and-so-manieth time: once you are in it too, tell me what you know."""

    view: int
    turn: int


class Flushed(Struct, array_like=True, tag=7, frozen=True):
    """I am in that view as well, take no grant from before, and know rows as far as these versions."""

    view: int
    turn: int
    round: int
    versions: dict[NodeId, int]


class Won(Struct, array_like=True, tag=8, frozen=True):
    """Of several processes with one name yours keeps it, from now on in this epoch."""

    key: str
    serial: int
    epoch: int
    round: int
    life: int = 0
    """The latest of the lives of those that are children: the winner goes on for all of them."""


class Lost(Struct, array_like=True, tag=9, frozen=True):
    """Of several processes with one name another one keeps it, in this epoch: give it back."""

    key: str
    node: NodeId
    serial: int
    epoch: int
    round: int


class Seek(Struct, array_like=True, tag=10, frozen=True):
    """To a name's home: I have not heard of this name; have you?"""

    number: int
    key: str


class Found(Struct, array_like=True, tag=11, frozen=True):
    """Who has a name, or will have it as soon as the grant is there; nobody, if ``node`` is empty."""

    number: int
    node: NodeId
    serial: int


ClaimMessage = Claim | Granted | Taken | Retry | Dropped | Flush | Flushed | Won | Lost

NameMessage = ClaimMessage | Seek | Found
