"""What docs/types.md says is so."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from foundation.core import registered
from tests.cluster.conftest import StartNodes

PAGE = Path(__file__).parents[2] / "docs" / "types.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[str]:
    """Return the examples of a page, each moved down to the line where it stands, so that a failure points there."""
    text = page.read_text(encoding="utf-8")
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in BLOCK.finditer(text)]


async def run_blocks(page: Path, module: ModuleType) -> int:
    """Run the examples of a page one after another in one module, `await` and all."""
    blocks = blocks_of(page)
    for block in blocks:
        code = compile(block, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        waiting = FunctionType(code, vars(module))()
        if inspect.iscoroutine(waiting):
            await waiting
    return len(blocks)


async def test_the_page_on_types_is_true(start_nodes: StartNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example of the page does what it says, all of them in one program."""
    monkeypatch.setattr(registered, "_by_class", {})
    monkeypatch.setattr(registered, "_by_name", {})
    module = ModuleType("types_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (cluster,) = await start_nodes("node")
    vars(module)["cluster"] = cluster
    assert await run_blocks(PAGE, module) == 4
