"""What was done with children in one run, and what each node has heard of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Literal, NamedTuple

from foundation.core.identity import ProcessId
from foundation.registry.rows import is_child
from foundation.replication import Change

Kind = Literal["start", "terminate"]


class Heard(NamedTuple):
    """What was heard of a child."""

    over: int = 0
    """All lives up to this one are over."""
    lives: frozenset[int] = frozenset()
    """Those that were not when they were heard of."""

    def __or__(self, other: Heard) -> Heard:  # type: ignore[override]
        """Return what both say together."""
        over = max(self.over, other.over)
        return Heard(over, frozenset(life for life in self.lives | other.lives if life > over))


@dataclass
class Done:
    """Something that was to decide whether a child runs."""

    kind: Kind
    node: str
    began_at: float
    ended_at: float = float("inf")
    is_certain: bool = False
    """Whether who did it was told that it is so."""
    life: int = 0
    """In which life it found the child when it was told so; 0 when it had not heard of it."""


@dataclass
class Book:
    """The book of one run."""

    done: dict[str, list[Done]] = field(default_factory=dict[str, list[Done]])
    """Since the last quiet phase, by child."""
    heard: dict[str, dict[str, Heard]] = field(default_factory=dict[str, dict[str, Heard]])
    """By node and child."""
    begun: set[ProcessId] = field(default_factory=set[ProcessId])
    """Processes of children that came to run."""
    ran: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    """Children and lives that were seen to run."""
    counted: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    """How far each child was known to have counted, by strain."""
    is_whole: bool = True
    """Whether all nodes that ran for a while have always seen each other."""
    live: int = 1
    """How many nodes ran lately."""
    drained: set[str] = field(default_factory=set[str])

    def hear(self, node: str, changes: Iterable[Change]) -> None:
        """Take rows that a node has heard of, its own among them."""
        for change in changes:
            self.hear_row(node, change.key, change.new)

    def hear_row(self, node: str, key: str, row: object) -> None:
        """Take one row."""
        if is_child(row):
            known = self.heard.setdefault(node, {})
            known[key[1:]] = known.get(key[1:], Heard()) | Heard(row.after, frozenset({row.life}))

    def begin(self, kind: Kind, node: str, name: str, now: float) -> Done:
        """Write down that something was begun."""
        done = Done(kind, node, now)
        self.done.setdefault(name, []).append(done)
        return done

    def known(self, name: str, nodes: Iterable[str]) -> Heard:
        """Return what some nodes have heard of a child, taken together."""
        heard = (self.heard.get(node, {}).get(name, Heard()) for node in nodes)
        return reduce(or_, heard, Heard())


_CURRENT = [Book()]


def open_book() -> Book:
    """Begin the book of a new run."""
    _CURRENT[0] = Book()
    return _CURRENT[0]


def current_book() -> Book:
    """Return the book of this run."""
    return _CURRENT[0]
