"""The parameters of one method, and how the arguments of a call are laid out for the wire."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from foundation.errors import ArgumentError
from foundation.processes.interface.annotations import resolve


@dataclass(frozen=True)
class Parameters:
    """The parameters of one method, without `self`.

    Positional arguments travel as one array, in the order of the parameters. A keyword joins them wherever it can and
    travels by its name only where it must: when it is keyword-only, or an optional parameter before it was left out.
    """

    where: str
    """The method, as error messages name it."""

    positional: tuple[str, ...]
    positional_only: frozenset[str]
    keyword_only: tuple[str, ...]
    optional: frozenset[str]
    rest: str | None
    """The name behind ``*``, if there is one."""

    named_rest: str | None
    """The name behind ``**``, if there is one."""

    annotations: dict[str, Any]

    def arrange(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what travels in the array and what travels by name, or raise :class:`ArgumentError`."""
        if len(args) > len(self.positional) and self.rest is None:
            self._wrong(f"takes {_count(len(self.positional))}, {len(args)} were given")
        left = dict(kwargs)
        in_order = list(args)
        for name in self.positional[len(args) :]:
            if name not in left or name in self.positional_only:
                break
            in_order.append(left.pop(name))
        self._check_names(len(in_order), left)
        return tuple(in_order), left

    def _check_names(self, in_order: int, left: dict[str, Any]) -> None:
        given = set(self.positional[:in_order])
        for name in left:
            if name in given and name not in self.positional_only:
                self._wrong(f"argument {name!r} was given twice")
            known = name in self.keyword_only or (name in self.positional and name not in self.positional_only)
            if not known and self.named_rest is None:
                names = [*(name for name in self.positional if name not in self.positional_only), *self.keyword_only]
                self._wrong(f"unknown argument {name!r}; there are: {', '.join(names) or 'none'}")
        for name in (*self.positional[in_order:], *self.keyword_only):
            if name not in self.optional and (name not in left or name in self.positional_only):
                self._wrong(f"argument {name!r} is missing")

    def _wrong(self, what: str) -> NoReturn:
        message = f"{self.where}: {what}"
        raise ArgumentError(message)


def _count(number: int) -> str:
    return {0: "no arguments", 1: "1 argument"}.get(number, f"{number} arguments")


def read_parameters(function: Callable[..., Any], owner: type, where: str) -> Parameters:
    """Read the parameters of a method of ``owner``; raises ProcessDefinitionError for unresolvable annotations."""
    if function is object.__init__:
        return Parameters(where, (), frozenset(), (), frozenset(), None, None, {})
    hints = resolve(function, owner, where)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    kinds = inspect.Parameter

    def of(*wanted: object) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in parameters if parameter.kind in wanted)

    return Parameters(
        where=where,
        positional=of(kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD),
        positional_only=frozenset(of(kinds.POSITIONAL_ONLY)),
        keyword_only=of(kinds.KEYWORD_ONLY),
        optional=frozenset(parameter.name for parameter in parameters if parameter.default is not kinds.empty),
        rest=next(iter(of(kinds.VAR_POSITIONAL)), None),
        named_rest=next(iter(of(kinds.VAR_KEYWORD)), None),
        annotations={parameter.name: hints.get(parameter.name, kinds.empty) for parameter in parameters},
    )
