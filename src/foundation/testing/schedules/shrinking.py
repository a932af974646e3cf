"""Leave out what a failure does not need: delta debugging (Zeller and Hildebrandt 2002). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(
    items: Sequence[T], fails: Callable[[Sequence[T]], bool], may_go_on: Callable[[], bool] = lambda: True
) -> list[T]:
    """Return as few of ``items`` as still fail, in their order; each alone is needed, if there was time to try all.

    ``fails`` plays some of them; it fails with all of them. ``may_go_on`` tells whether there is time for one more.
    """
    kept = list(items)
    size = len(kept)
    while size and kept and may_go_on():
        at, has_shrunk = 0, False
        while at < len(kept) and may_go_on():
            fewer = kept[:at] + kept[at + size :]
            if fails(fewer):
                kept, has_shrunk = fewer, True
            else:
                at += size
        if size == 1 and not has_shrunk:
            break
        size = min(max(size // 2, 1), len(kept))
    return kept
