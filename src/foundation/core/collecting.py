"""Keep the cyclic collector of Python from stopping a node again and again.

A node holds some fifty objects for each process, for as long as the process lives. Python's collector goes through all
that there is after each tenth collection of the middle generation: with 20,000 processes that takes 0.1 s and more, and
it happens just when much is created at once, as after the death of another node. With the thresholds set here those
passes are rare; what is not part of a cycle is freed at once, as ever.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

THRESHOLDS = (10_000, 20, 50)
"""Objects created until the youngest generation is looked through; how often that happens until the next one is; and
how often that happens until all are."""


_DEFAULTS = {(700, 10, 10), (2000, 10, 10), (2000, 10, 0)}
"""Of the versions of CPython."""


def collect_rarely() -> Callable[[], None]:
    """Set these thresholds, unless the program has chosen its own; return what undoes that."""
    before = gc.get_threshold()
    if not gc.isenabled() or before not in _DEFAULTS:
        return lambda: None
    gc.set_threshold(*THRESHOLDS)

    def undo() -> None:
        if gc.get_threshold() == THRESHOLDS:
            gc.set_threshold(*before)

    return undo
