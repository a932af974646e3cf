"""What docs/distribution.md says is so."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.cluster.conftest import StartNodes
from tests.cluster.test_type_page import run_blocks

PAGE = Path(__file__).parents[2] / "docs" / "distribution.md"


async def test_the_page_on_distribution_is_true(start_nodes: StartNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of the page does what it says, all of them in one program."""
    module = ModuleType("distribution_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    cluster, there = await start_nodes("here", "there")
    vars(module).update(cluster=cluster, there=there)
    assert await run_blocks(PAGE, module) == 6
