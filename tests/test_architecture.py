"""The source keeps the rules of the house, and the rules find what breaks them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import source_rules as rules

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "foundation"
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def offenses(paths: Sequence[Path], rule: Callable[[ast.Module], Sequence[Any]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{place}" for path in paths for place in rule(tree_of(path))]


def require_none(found: Sequence[str], advice: str) -> None:
    if found:
        pytest.fail("\n".join([advice, *(f"  {place}" for place in found)]), pytrace=False)


def test_files_are_short() -> None:
    """No source file is longer than a reader can hold in mind."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    found = [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > rules.MAX_LINES]
    require_none(found, f"Split these by responsibility: {rules.MAX_LINES} lines at most, about 300 is the aim.")


def test_file_names_say_what_is_inside() -> None:
    """No file and no folder has a name under which anything could be put."""
    parts = {path: {*path.relative_to(ROOT).parts[:-1], path.stem} for path in SOURCES}
    found = [str(path.relative_to(ROOT)) for path, names in parts.items() if names & rules.VAGUE_NAMES]
    require_none(found, "Name these after the one thing they do.")


def test_modules_are_documented() -> None:
    """Each module says in its docstring what it is."""
    found = [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(tree_of(path))]
    require_none(found, "Begin each of these with a docstring of one sentence: what is it?")


def test_one_file_knows_zenoh() -> None:
    """The engine under the fabric is imported by its transport alone."""
    others = [path for path in SOURCES if path != PACKAGE / "fabric" / "transports" / "zenoh.py"]
    found = offenses(others, lambda tree: rules.imports_of(tree, "zenoh"))
    require_none(found, "Go through the fabric: only fabric/transports/zenoh.py imports zenoh.")


def test_tasks_have_owners() -> None:
    """No task is started that nothing cancels and awaits."""
    others = [path for path in SOURCES if path != PACKAGE / "core" / "tasks.py"]
    advice = "Start these in a foundation.core.tasks.TaskScope, or in an asyncio.TaskGroup called group."
    require_none(offenses(others, rules.stray_tasks), advice)


def test_tests_do_not_sleep() -> None:
    """No test waits for time to pass and hopes; where time is virtual, waiting is exact and costs nothing."""
    virtual = {
        ROOT / "tests" / name
        for name in ("testing", "simulate", "simulate/children", "distribution", "reconfiguration")
    }
    real = [path for path in TESTS if path.parent not in virtual]
    advice = "Wait for the event itself, with a deadline and a message that says what was last seen."
    require_none(offenses(real, rules.sleeps), advice)


def test_tests_state_their_property() -> None:
    """Each test says in its docstring what must hold."""
    advice = "Give each of these tests a docstring that states the property."
    require_none(offenses(TESTS, rules.undocumented_tests), advice)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import zenoh", [1]),
        ("def f():\n    from zenoh.ext import Z", [2]),
        ("import zenohlike", []),
        ("from foundation.fabric.transports import zenoh", []),
    ],
)
def test_imports_of_a_package_are_found(text: str, lines: list[int]) -> None:
    """An import is seen wherever it stands, and a similar name is not one."""
    assert rules.imports_of(ast.parse(text), "zenoh") == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("asyncio.create_task(f())", [1]),
        ("from asyncio import ensure_future as later\nlater(f())", [2]),
        ("asyncio.get_running_loop().create_task(f())", [1]),
        ("async with TaskGroup() as group:\n    group.create_task(f())", []),
        ("self._group.create_task(f())", []),
        ("def create_task(): ...", []),
    ],
)
def test_stray_tasks_are_found(text: str, lines: list[int]) -> None:
    """A task without an owner is seen through aliases; one that a task group starts is not stray."""
    assert rules.stray_tasks(ast.parse(text)) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import time\ntime.sleep(1)", [2]),
        ("import time as t\nt.sleep(0)", [2]),
        ("from asyncio import sleep as nap\nawait nap(0.1)", [2]),
        ("import asyncio\nawait asyncio.sleep(delay)", [2]),
        ("import asyncio\nawait asyncio.sleep(0)", []),
        ("run('import time; time.sleep(9)')", []),
    ],
)
def test_sleeps_are_found(text: str, lines: list[int]) -> None:
    """A wait is seen through aliases; a yield to other tasks or the text of a program is none."""
    assert rules.sleeps(ast.parse(text)) == lines


def test_undocumented_tests_are_found() -> None:
    """A test without a docstring is seen, also as a method; other functions are left alone."""
    text = 'def test_a(): "why"\nclass TestB:\n    async def test_b(self): ...\ndef helper(): ...'
    assert rules.undocumented_tests(ast.parse(text)) == ["3 (test_b)"]
