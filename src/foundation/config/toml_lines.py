"""Which line of a TOML file says what; the parser of the standard library does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from foundation.config.keys import Key

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_TABLE = re.compile(rf"[ \t]*\[\[?[ \t]*({_DOTTED})[ \t]*\]")
_VALUE = re.compile(rf"[ \t]*({_DOTTED})[ \t]*=")
_TOKENS = re.compile(r'"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|[\[\]{}]')


def lines_of(text: str) -> dict[Key, int]:
    """Return the line of each table and key of a valid document, counted from 1; what is inline has none of its own."""
    found: dict[Key, int] = {}
    table: Key = ()
    rest = _Rest()
    for number, line in enumerate(text.splitlines(), start=1):
        if rest.goes_on:
            rest.read(line)
        elif header := _TABLE.match(line):
            table = _parts(header[1])
            found.setdefault(table, number)
        elif value := _VALUE.match(line):
            found.setdefault((*table, *_parts(value[1])), number)
            rest.read(line[value.end() :])
    return found


class _Rest:
    """Whether a value goes on in the next line."""

    def __init__(self) -> None:
        self._quotes = ""
        self._depth = 0

    @property
    def goes_on(self) -> bool:
        return bool(self._quotes) or self._depth > 0

    def read(self, text: str) -> None:
        at = 0
        while at < len(text):
            if self._quotes:
                end = text.find(self._quotes, at)
                if end < 0:
                    return
                at, self._quotes = end + 3, ""
            elif token := _TOKENS.search(text, at):
                at = token.end()
                self._take(token[0])
            else:
                return

    def _take(self, mark: str) -> None:
        if mark in {'"""', "'''"}:
            self._quotes = mark
        elif mark in "[{":
            self._depth += 1
        elif mark in "]}":
            self._depth -= 1


def _parts(dotted: str) -> Key:
    """Let the parser take a key apart."""
    table: Any = tomllib.loads(f"{dotted} = 0")
    parts: list[str] = []
    while isinstance(table, dict):
        part, table = next(iter(table.items()))
        parts.append(part)
    return tuple(parts)
