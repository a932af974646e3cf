"""The file: which one it is, and what it says."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation.config.given import Given, Layer, Problems, flat
from foundation.config.keys import Key, dotted, full

logger = logging.getLogger(__name__)

NAME = "foundation.toml"
PROJECT = "pyproject.toml"
_PROJECT_TABLE: Key = ("tool", "foundation")
_FILES = {
    ("cookie_file",),
    ("fabric", "tls"),
    *(("fabric", "tls", name) for name in ("certificate", "private_key", "authority")),
}


def find_file(start: Path | None = None) -> Path | None:
    """Return the nearest file, from ``start`` (the working directory) upwards, or None.

    In each folder ``foundation.toml`` comes before a ``pyproject.toml`` with a table ``[tool.foundation]``. The search
    ends with the folder of a repository, with the user's home and with the root. A file of another user is left alone.
    """
    for folder in _upwards(start or Path.cwd()):
        for path in (folder / NAME, folder / PROJECT):
            if path.is_file() and (path.name == NAME or _has_table(path)) and _is_trusted(path):
                return path
    return None


def read_file(path: Path, problems: Problems) -> Layer:
    """Return what a file says; what is wrong with the file itself goes to ``problems``."""
    import tomllib  # noqa: PLC0415 - needed only where there is a file

    from foundation.config.toml_lines import lines_of  # noqa: PLC0415

    name = shown(path)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        values: Any = tomllib.loads(text)
    except OSError as error:
        problems.add(f"{name}: it cannot be read: {error.strerror}")
        return {}
    except UnicodeDecodeError:
        problems.add(f"{name}: it is not text in UTF-8")
        return {}
    except tomllib.TOMLDecodeError as error:
        problems.add(_syntax(name, str(error), len(text.splitlines())))
        return {}
    prefix = _PROJECT_TABLE if path.name == PROJECT else ()
    for part in prefix:
        values = values.get(part, {})
    if not isinstance(values, Mapping):
        problems.add(f"{name}: tool.foundation must be a table")
        return {}
    lines = {key[len(prefix) :]: line for key, line in lines_of(text).items() if key[: len(prefix)] == prefix}
    return _layer(path, values, lines, problems)


def shown(path: Path) -> str:
    """Return a path as people would write it here."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _layer(path: Path, values: Mapping[str, Any], lines: Mapping[Key, int], problems: Problems) -> Layer:
    layer: Layer = {}
    for key, value in flat(values).items():
        line = next((lines[key[:length]] for length in range(len(key), -1, -1) if key[:length] in lines), 1)
        place = f"{shown(path)}:{line}"
        belongs = full(key)
        if belongs in layer:
            problems.add(f"{place}: {dotted(key)} is given already, by {layer[belongs].label}")
            continue
        layer[belongs] = Given(_absolute(belongs, value, path), "file", place, f"{place}: {dotted(key)}")
    return layer


def _absolute(key: Key, value: Any, path: Path) -> Any:  # noqa: ANN401 - whatever the file says
    """Take the name of a file as seen from the file that names it."""
    is_file = (key[2:] if key[0] == "clusters" else key) in _FILES and isinstance(value, str) and value
    return str(path.absolute().parent / Path(value).expanduser()) if is_file else value


def _syntax(name: str, error: str, lines: int) -> str:
    """The parser's message, with the line in its usual place."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", error, re.DOTALL)
    if found is None:
        return f"{name}:{lines}: it is not TOML: {error.removesuffix(' (at end of document)')} at the end"
    return f"{name}:{found[2]}: it is not TOML: {found[1]} (column {found[3]})"


def _upwards(start: Path) -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - the method raises where there is no home
    for folder in (start, *start.parents):
        yield folder
        if folder == home or (folder / ".git").exists():
            return


def _has_table(path: Path) -> bool:
    """Tell whether a project's file speaks of us; one that is broken is somebody else's concern, unless it does."""
    import tomllib  # noqa: PLC0415

    content = b""
    try:
        content = path.read_bytes()
        if b"foundation" not in content:
            return False
        tool: Any = tomllib.loads(content.decode()).get("tool")
    except (OSError, UnicodeDecodeError):
        return False
    except tomllib.TOMLDecodeError:
        return re.search(rb"^\s*\[tool\.foundation\b", content, re.MULTILINE) is not None
    return isinstance(tool, Mapping) and "foundation" in tool


def _is_trusted(path: Path) -> bool:
    """Refuse what somebody else left in a folder above: a file can name classes to load."""
    if os.name != "posix":
        return True
    found = path.stat()
    if found.st_uid in {0, os.geteuid()} and not found.st_mode & 0o002:
        return True
    logger.warning(
        "%s is left alone, because other users can write it; name it in FOUNDATION_CONFIG if it is meant", path
    )
    return False
