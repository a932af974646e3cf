"""Check what was said about strategies: their names, and the options of those that are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from foundation.config.checking import complaints, converted, number_problem, unknown_text
from foundation.config.config import DEFAULT_STRATEGIES
from foundation.config.given import Layer, Problems, nested
from foundation.config.keys import Key, UnknownKey, hints_of, is_secret, nearest
from foundation.discovery.catalog import STRATEGIES
from foundation.errors import ConfigurationError

LISTS = ("cluster", "fallback")
TABLES = "strategies"


@dataclass(frozen=True, slots=True)
class StrategyChecks:
    """The checks of what one configuration says about strategies."""

    layer: Layer
    problems: Problems

    def names(self, *, every: bool) -> None:
        """Check each name; and the options of the strategies that are used, or of ``every`` one."""
        tables = {key[1]: key for key in self.layer if key[0] == TABLES and len(key) > 1}
        named = self._named()
        places = tables | named
        good = [name for name in places if self._is_known(name, places[name])]
        for name in good:
            if every or (name in tables and name in named.keys() | self._implied()):
                self._options(name, tables.get(name, places[name]))

    def _named(self) -> dict[str, Key]:
        """Return who is named in a list, and in which."""
        lists = {key: self.layer[key,].value for key in LISTS if (key,) in self.layer}
        return {name: (key,) for key, names in lists.items() for name in names if isinstance(name, str)}

    def _implied(self) -> set[str]:
        """Return who is used without being named."""
        defaults = () if ("cluster",) in self.layer else DEFAULT_STRATEGIES
        return {*defaults, *(("static",) if ("peers",) in self.layer else ())}

    def _is_known(self, name: str, key: Key) -> bool:
        if ":" in name or STRATEGIES.knows(name):
            return True
        known = STRATEGIES.names()
        found = nearest(name, known)
        meant = f"; did you mean {found!r}?" if found else f"; there are: {', '.join(known)}"
        self.problems.add(f"{self.layer[key].label}: there is no strategy {name!r}{meant}")
        return False

    def _options(self, name: str, first: Key) -> None:
        try:
            record = getattr(STRATEGIES.find(name), "Options", None)
        except ConfigurationError as error:
            self.problems.add(f"{self.layer[first].label}: {error}")
            return
        if isinstance(record, type) and is_dataclass(record):
            self._check(record, (TABLES, name))

    def _check(self, record: type, table: Key) -> None:
        from foundation.config.validation import validate  # noqa: PLC0415 - pydantic

        hints = hints_of(record)
        values, is_good = self._values(hints, table)
        if not is_good:
            return
        try:
            _, found = validate(record, values)
        except ConfigurationError as error:  # of the options themselves
            label = next(given.label for key, given in self.layer.items() if key[: len(table)] == table)
            self.problems.add(f"{label}: {error}")
            return
        secrets = [(*table, option) for option in hints if is_secret((option,), record)]
        for text in complaints(self.layer, found, table, secrets):
            self.problems.add(text)

    def _values(self, hints: Mapping[str, Any], table: Key) -> tuple[dict[str, Any], bool]:
        """Return the options of a table, and whether their names and numbers can be used."""
        depth, is_good = len(table), True
        given_here: Layer = {}
        for key in [key for key in self.layer if key[:depth] == table and len(key) > depth]:
            given, option = self.layer[key], key[depth]
            if option not in hints:
                self.problems.add(unknown_text(given, key, UnknownKey(key[: depth + 1], hints)))
                continue
            if len(key) == depth + 1:
                self.layer[key] = given = given.with_value(converted(given, hints[option]))
                if (problem := number_problem(key, given, hints[option])) is not None:
                    self.problems.add(problem)
                    is_good = False
            given_here[key[depth:]] = given
        return nested(given_here), is_good


def options_in(settings_tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the tables that say something."""
    return {name: dict(table) for name, table in settings_tables.items() if table}
