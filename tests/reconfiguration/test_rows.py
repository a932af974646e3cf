"""Rows of settings come together to the same, whatever their order."""

from __future__ import annotations

import itertools

from foundation.reconfiguration.rows import Written, newer

SAID = [
    {"a": Written(3, "x", 1)},
    {"a": Written(5, "y", None), "b": Written(1, "y", 2)},
    {"b": Written(1, "z", 3)},
    {"b": Written(1, "z", 4), "a": Written(4, "x", 9)},
]


def test_the_newest_holds_in_every_order() -> None:
    """The later stamp, then the later name, then the value itself decide; what was taken back stays so."""
    for order in itertools.permutations(SAID):
        known: dict[str, Written] = {}
        for heard in order:
            known |= newer(known, heard)
            assert not newer(known, heard)
        assert known == {"a": Written(5, "y", None), "b": Written(1, "z", 4)}
