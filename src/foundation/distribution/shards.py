"""Which of several children that share a name is responsible for a key. Pure."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from foundation.distribution.plan import decode_plan

Key = str | bytes | int


def numbered(name: str, count: int) -> list[str]:
    """Return the names of so many children that share one."""
    return [f"{name}/{number}" for number in range(count)]


def shard_of(key: Key, count: int) -> int:
    """Return the number of the shard, 0 to ``count`` - 1: the same on every node, in every program and version.

    A number goes where its digits would go as text.
    """
    data = key if isinstance(key, bytes) else str(key).encode()
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") % count


@lru_cache(maxsize=1 << 10)
def count_in(plan: bytes) -> int:
    """Return how many children share the name, as the plan of one of them says; 0 for one that is alone."""
    return decode_plan(plan).siblings
