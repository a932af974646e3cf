"""The rules of the house that no linter knows, each a function from source text to what breaks it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

MAX_LINES = 400
VAGUE_NAMES = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"})
SPAWNERS = frozenset({"create_task", "ensure_future"})
SLEEPERS = frozenset({"asyncio.sleep", "time.sleep"})


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Map each name that an import binds anywhere in the file to the full name of what it stands for."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                bound[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def imports_of(tree: ast.AST, package: str) -> list[int]:
    """Give the lines that import ``package`` or a part of it, in a function too."""
    lines: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        lines += [node.lineno for name in names if name.partition(".")[0] == package]
    return lines


def dotted(node: ast.expr) -> str:
    """Write ``a.b.c`` for an attribute chain; a call or another expression in it is written ``?``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Give each call with the full name of what it calls, import aliases resolved."""
    bound = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            root, dot, rest = dotted(node.func).partition(".")
            yield node, f"{bound.get(root, root)}{dot}{rest}"


def stray_tasks(tree: ast.AST) -> list[int]:
    """Give the lines that start a task nobody owns.

    A task group owns what it starts, so ``create_task`` of what is called ``group`` or ``..._group`` is fine.
    """
    lines: list[int] = []
    for call, name in calls(tree):
        owner, _, function = name.rpartition(".")
        owned = function == "create_task" and owner.rpartition(".")[2].lower().endswith("group")
        if function in SPAWNERS and not owned:
            lines.append(call.lineno)
    return lines


def sleeps(tree: ast.AST) -> list[int]:
    """Give the lines that wait for time to pass.

    ``asyncio.sleep(0)`` only lets other tasks run. Program text for another OS process is a string.
    """
    return [call.lineno for call, name in calls(tree) if name in SLEEPERS and not _only_yields(call, name)]


def _only_yields(call: ast.Call, name: str) -> bool:
    zero = bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    return name == "asyncio.sleep" and zero


def undocumented_tests(tree: ast.AST) -> list[str]:
    """Give the test functions and methods that do not state, in a docstring, the property they check."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [
        f"{function.lineno} ({function.name})"
        for function in functions
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
