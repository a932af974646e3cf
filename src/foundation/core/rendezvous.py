"""Who of many is responsible for a key: everybody who knows the same candidates comes to the same answer. Pure.

Source: rendezvous (highest random weight) hashing (Thaler and Ravishankar 1998), with weights as Schindelhauer and
Schomaker (2005) give them. Who joins or leaves changes the answer only for its own share of the keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from foundation.core.identity import NodeId

_MASK = (1 << 64) - 1
_MOST_FOUND = 4096


class Candidates:
    """Some nodes, ready to be asked about many keys."""

    def __init__(self, nodes: Iterable[NodeId], weights: Mapping[NodeId, float] | None = None) -> None:
        """``weights`` are the shares that nodes are to have, above 0; all the same without them."""
        self._seeds = [(_hash(node), node) for node in sorted(nodes)]
        are_alike = weights is None or len(set(weights.values())) <= 1
        self._weights = None if are_alike else weights
        self._found: dict[str, NodeId] = {}
        """Answers that were given lately: whoever asks about a key mostly asks again at once."""

    def first(self, key: str) -> NodeId:
        """Return who is responsible for a key; raises ValueError when there is nobody."""
        if (found := self._found.get(key)) is not None:
            return found
        if len(self._found) >= _MOST_FOUND:
            self._found.clear()
        found = self._found[key] = self._first(_hash(key))
        return found

    def _first(self, hashed: int) -> NodeId:
        if (weights := self._weights) is not None:
            return max((-weights[node] / math.log(_share(_mixed(hashed ^ seed))), node) for seed, node in self._seeds)[
                1
            ]
        return max((_mixed(hashed ^ seed), node) for seed, node in self._seeds)[1]


def _share(value: int) -> float:
    """Turn 64 bits into a number between 0 and 1, neither of them."""
    return ((value >> 12) + 0.5) / (1 << 52)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _mixed(value: int) -> int:
    """Spread 64 bits: the finalizer of MurmurHash3."""
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & _MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ value >> 33
