"""Import the module whose processes a node is to run, under the name that every node knows it by."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from foundation.cli.failure import CommandFailed
from foundation.cli.tree import run_tree
from foundation.cluster import Cluster
from foundation.processes import Child

Main = Callable[[Cluster], Awaitable[object]]


def load_application(application: str) -> Main | None:
    """Import ``package.module`` or ``path/to/file.py`` and return its ``async def main(cluster)``, if it has one.

    Behind a colon stands what is to run instead: the name of such a function, or of a ``supervisor(...)``. A file is
    imported under the name it has for its neighbors: its packages', as far up as there are ``__init__.py``.
    Raises :class:`CommandFailed` when there is no such module or attribute, or when it fails.
    """
    module, _, attribute = application.rpartition(":")
    if not attribute.isidentifier() or not module:
        module, attribute = application, ""
    is_file = module.endswith(".py") or "/" in module
    folder, name = _locate(Path(module)) if is_file else (Path.cwd(), module)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if is_file:
        _refuse_to_hide(name, module)
    imported = _import(name, module)
    return _attribute_of(imported, attribute) if attribute else _main_of(imported)


def _locate(file: Path) -> tuple[Path, str]:
    if not file.is_file():
        message = f"{file} {'is a folder: name a file or a module' if file.is_dir() else 'does not exist'}"
        raise CommandFailed(message, exit_code=2)
    file = file.resolve()
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _refuse_to_hide(name: str, file: str) -> None:
    """A file ``json.py`` would be taken for the module that everybody else means by that name."""
    found = importlib.util.find_spec(name) if name.isidentifier() or "." in name else None
    origin = found.origin if found is not None else None
    if origin is None or not Path(origin).is_file() or Path(origin).resolve() != Path(file).resolve():
        message = f"{file} cannot be imported as {name!r}: that name means {origin or 'nothing'}; rename the file"
        raise CommandFailed(message, exit_code=2)


def _import(name: str, given: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(given, error) from error
        hint = f"; did you mean {given}.py?" if Path(f"{given}.py").is_file() else ""
        message = f"there is no module {given!r}, neither installed nor in {Path.cwd()}{hint}"
        raise CommandFailed(message, exit_code=2) from None
    except Exception as error:
        raise _broken(given, error) from error


def _broken(given: str, error: Exception) -> CommandFailed:
    """Say what went wrong in the user's module, and where: the last of its own lines that was reached."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
        place = f"{frames[-1].filename}:{frames[-1].lineno}"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return CommandFailed(f"{given} cannot be imported: {type(error).__name__}: {text} ({place})")


def _main_of(module: ModuleType) -> Main | None:
    """Return ``main`` if it takes one argument: one without any is a script's own, and starts its own cluster."""
    main = getattr(module, "main", None)
    return main if _takes_cluster(main) else None


def _attribute_of(module: ModuleType, attribute: str) -> Main:
    value: Any = getattr(module, attribute, None)
    if isinstance(value, Child):
        tree: Child[Any] = value
        return partial(run_tree, tree)
    if _takes_cluster(value):
        return value
    found = "does not exist" if value is None else f"is {value!r:.100}"
    message = (
        f"{module.__name__}:{attribute} {found}; name a supervisor(...), or an async function that takes the cluster"
    )
    raise CommandFailed(message, exit_code=2)


def _takes_cluster(value: object) -> TypeGuard[Main]:
    if not inspect.iscoroutinefunction(value):
        return False
    required = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
    return [p.kind for p in required] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]
