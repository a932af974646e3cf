"""What is decided from data alone: shards of keys, and the words for how children are owned."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.distribution.ownership import ownership
from foundation.distribution.shards import numbered, shard_of


@given(st.text() | st.binary() | st.integers(), st.integers(1, 1_000))
def test_a_key_has_one_shard(key: str | bytes | int, count: int) -> None:
    """It is one of those that there are, and always the same."""
    assert 0 <= shard_of(key, count) < count
    assert shard_of(key, count) == shard_of(key, count)


def test_shards_stay_what_they_are() -> None:
    """Nodes of different versions must agree: these answers never change."""
    assert [shard_of(key, 16) for key in ("", "order 1", "order 2", b"order 1", 42, "42", -1)] == [
        4,
        3,
        3,
        3,
        10,
        10,
        6,
    ]


def test_keys_are_spread_evenly() -> None:
    """Each shard has its share of many keys."""
    counts = Counter(shard_of(key, 16) for key in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1.2 * 1_000


def test_names_of_siblings() -> None:
    """They have their numbers behind the name."""
    assert numbered("a", 3) == ["a/0", "a/1", "a/2"]


@pytest.mark.parametrize(
    ("nodes", "word"),
    [(0, "local"), (1, "local"), (2, "replicated"), (10, "replicated"), (11, "partitioned"), (14, "partitioned")],
)
def test_ownership_is_told_with_its_reason(nodes: int, word: str) -> None:
    """Up to ten nodes every one knows every child well, beyond that each sees to its part."""
    text = ownership(nodes)
    assert text.startswith(f"{word}: ")
    assert str(nodes) in text or nodes <= 1
