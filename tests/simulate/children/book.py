"""What was done with children in one run, and what each node has heard of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from foundation.core.identity import ProcessId
from foundation.registry.rows import TERMINATED, is_child
from foundation.replication import Change

Kind = Literal["start", "terminate"]


class Heard(NamedTuple):
    """The latest that a node has heard of a child."""

    life: int
    is_terminated: bool


@dataclass
class Done:
    """Something that was to decide whether a child runs."""

    kind: Kind
    node: str
    began_at: float
    ended_at: float = float("inf")
    is_certain: bool = False
    """Whether who did it was told that it is so."""


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
    over: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Nodes, and terminated children that they have forgotten."""
    is_whole: bool = True
    """Whether all nodes that ran for a while have always seen each other."""
    drained: set[str] = field(default_factory=set[str])

    def hear(self, node: str, changes: Iterable[Change]) -> None:
        """Take rows that a node has heard of, its own among them."""
        for change in changes:
            self.hear_row(node, change.key, change.new)
            if change.new is None and is_child(change.old) and change.old.serial == TERMINATED:
                self._forgotten(node, change.key[1:])

    def hear_row(self, node: str, key: str, row: object) -> None:
        """Take one row."""
        if is_child(row):
            known = self.heard.setdefault(node, {})
            name, heard = key[1:], Heard(row.life, row.serial == TERMINATED)
            known[name] = max(known.get(name, heard), heard)

    def _forgotten(self, node: str, name: str) -> None:
        """Take that a node knows no more that a child was terminated: its lives begin anew with the next start."""
        if any(done.kind == "start" for done in self.done.get(name, ())):
            self.heard[node].pop(name, None)
        else:
            self.over.add((node, name))

    def begin(self, kind: Kind, node: str, name: str, now: float) -> Done:
        """Write down that something was begun."""
        for where, known in self.heard.items():
            if kind == "start" and (where, name) in self.over:
                self.over.discard((where, name))
                known.pop(name, None)
        done = Done(kind, node, now)
        self.done.setdefault(name, []).append(done)
        return done

    def known(self, name: str, nodes: Iterable[str]) -> Heard | None:
        """Return the latest that any of some nodes has heard of a child."""
        heard = [known for node in nodes if (known := self.heard.get(node, {}).get(name)) is not None]
        return max(heard, default=None)


_CURRENT = [Book()]


def open_book() -> Book:
    """Begin the book of a new run."""
    _CURRENT[0] = Book()
    return _CURRENT[0]


def current_book() -> Book:
    """Return the book of this run."""
    return _CURRENT[0]
