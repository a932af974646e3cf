"""Who is in a cluster, and a number for all of it: who sees the same has the same number. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b

from foundation.core.identity import NodeId

_MASK = (1 << 63) - 1


class Roster:
    """Nodes in their incarnations, some of whom leave.

    The number is a sum of a hash for each, so that who comes or goes costs the same however many there are.
    """

    def __init__(self, members: Iterable[tuple[NodeId, int]] = (), leaving: Collection[NodeId] = ()) -> None:
        self.number = 0
        self._hashes: dict[NodeId, int] = {}
        self._leaving: set[NodeId] = set()
        for node, incarnation in members:
            self.put(node, incarnation, is_leaving=node in leaving)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._hashes)

    def put(self, node: NodeId, incarnation: int, *, is_leaving: bool = False) -> None:
        """Have a node in, in that incarnation."""
        hashed = _hash(node, incarnation, is_leaving)
        self.number = self.number - self._hashes.get(node, 0) + hashed & _MASK
        self._hashes[node] = hashed
        if is_leaving:
            self._leaving.add(node)
        else:
            self._leaving.discard(node)

    def drop(self, node: NodeId) -> None:
        """Have a node not in."""
        self.number = self.number - self._hashes.pop(node, 0) & _MASK
        self._leaving.discard(node)

    def stays(self, node: NodeId) -> bool:
        """Tell whether a node is in and does not leave."""
        return node in self._hashes and node not in self._leaving

    def staying(self) -> list[NodeId]:
        """Return those who do not leave."""
        return [node for node in self._hashes if node not in self._leaving]


@lru_cache(maxsize=1 << 12)
def _hash(node: NodeId, incarnation: int, is_leaving: bool) -> int:
    text = f"{node}:{incarnation}{'-' if is_leaving else ''}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
