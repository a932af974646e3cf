"""From a name in the configuration to the adapter that has it.

Three ways, in this order: the file of that name in our own folder, an entry point of another distribution, and a dotted
path ``package.module:Class``. Nothing is imported before its name is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import TYPE_CHECKING, Any

from foundation.errors import ConfigurationError, UnknownStrategyError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


class Catalog:
    """The adapters of one kind, found by name."""

    def __init__(self, kind: str, package: str, attribute: str) -> None:
        """Look in ``package`` for modules that define ``attribute``; ``kind`` is for messages.

        The package is also the group of entry points.
        """
        self._kind = kind
        self._package = package
        self._attribute = attribute

    def names(self) -> list[str]:
        """Return every name that :meth:`find` knows, sorted."""
        folder = importlib.import_module(self._package)
        ours = {module.name for module in pkgutil.iter_modules(folder.__path__)}
        return sorted(ours | {point.name for point in self._elsewhere()})

    def find(self, name: str) -> Any:  # noqa: ANN401 - the port that the caller asks for
        """Return what ``name`` stands for, or raise :class:`UnknownStrategyError` with the names there are."""
        if ":" in name:
            return self._by_path(name)
        if name.isidentifier() and name != "__init__" and importlib.util.find_spec(f"{self._package}.{name}"):
            return getattr(importlib.import_module(f"{self._package}.{name}"), self._attribute)
        for point in self._elsewhere():
            if point.name == name:
                return point.load()
        message = f"there is no {self._kind} {name!r}; there are: {', '.join(self.names())}"
        raise UnknownStrategyError(message)

    def _elsewhere(self) -> EntryPoints:
        from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, and seldom needed

        return entry_points(group=self._package)

    def _by_path(self, path: str) -> Any:  # noqa: ANN401
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            message = f"the {self._kind} {path!r} cannot be loaded: {error}"
            raise ConfigurationError(message) from error
