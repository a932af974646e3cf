"""From a name in the configuration to the adapter that has it.

Three ways, in this order: the file of that name in our own folder, an entry point of another distribution, and a dotted
path ``package.module:Class``. Nothing is imported before its name is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foundation.errors import ConfigurationError, UnknownStrategyError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Catalog:
    """The adapters of one kind, found by name."""

    def __init__(self, kind: str, package: str, attribute: str) -> None:
        """Look in ``package`` for modules that define ``attribute``; ``kind`` is for messages.

        The package is also the group of entry points. Of those a name of our own wins, and among them the distribution
        that is found first.
        """
        self._kind = kind
        self._package = package
        self._attribute = attribute

    def names(self) -> list[str]:
        """Return every name that :meth:`find` knows, sorted."""
        folder = importlib.import_module(self._package)
        ours = {module.name for module in pkgutil.iter_modules(folder.__path__)}
        return sorted(ours | {point.name for point in self._elsewhere()})

    def knows(self, name: str) -> bool:
        """Tell whether a name, but no path, stands for something; nothing is imported for that."""
        return self._is_ours(name) or self._point(name) is not None

    def find(self, name: str) -> Any:  # noqa: ANN401 - the port that the caller asks for
        """Return what ``name`` stands for, or raise :class:`UnknownStrategyError` with the names there are.

        Raises :class:`ConfigurationError` for an entry point or a path that cannot be loaded.
        """
        if ":" in name:
            return self._by_path(name)
        if self._is_ours(name):
            return getattr(importlib.import_module(f"{self._package}.{name}"), self._attribute)
        if (point := self._point(name)) is not None:
            return self._loaded(point)
        message = f"there is no {self._kind} {name!r}; there are: {', '.join(self.names())}"
        raise UnknownStrategyError(message)

    def _is_ours(self, name: str) -> bool:
        if not name.isidentifier() or name == "__init__":
            return False
        return importlib.util.find_spec(f"{self._package}.{name}") is not None

    def _point(self, name: str) -> EntryPoint | None:
        return next((point for point in self._elsewhere() if point.name == name), None)

    def _elsewhere(self) -> Sequence[EntryPoint]:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, and seldom needed

        return tuple(entry_points(group=self._package))

    def _loaded(self, point: EntryPoint) -> Any:  # noqa: ANN401
        try:
            return point.load()
        except Exception as error:  # the code of somebody else
            owner = f"the distribution {point.dist.name} {point.dist.version}" if point.dist else "a distribution"
            message = (
                f"the {self._kind} {point.name!r} cannot be loaded: {owner} says it is {point.value}"
                f" ({type(error).__name__}: {error}); repair or uninstall it"
            )
            raise ConfigurationError(message) from error

    def _by_path(self, path: str) -> Any:  # noqa: ANN401
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            message = f"the {self._kind} {path!r} cannot be loaded: {error}"
            raise ConfigurationError(message) from error
