"""The benchmark of simulated clusters plays its stories, here with so few nodes that its figures mean nothing."""

from __future__ import annotations

import pytest
from benchmarks.simulation import STORIES


@pytest.mark.parametrize("story", ["split", "join"])
def test_a_story_is_measured(story: str) -> None:
    """It ends with figures of the agreed names, and those of its parts add up."""
    figures = STORIES[story](3)
    assert figures["nodes"] == 3
    assert figures["peak_rss_mb"] > 0
    assert figures["turns"] == sum(part["turns"] for part in figures["parts"].values()) > 0
