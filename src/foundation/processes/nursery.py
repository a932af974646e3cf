"""What a process can do with children of its own: processes of its node that do not outlive it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from foundation.core.identity import ProcessId


@dataclass(frozen=True, slots=True)
class Custody:
    """Under which terms a process is a child."""

    parent: int
    """The serial of its parent."""

    stop_timeout_s: float | None = None
    """Seconds that it has to stop; None for what is usual for its class."""


class Nursery(Protocol):
    """What a process can do with its children."""

    async def start(
        self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any], name: str | None, stop_timeout_s: float | None
    ) -> Any:  # noqa: ANN401 - a reference, typed as the class
        """Start a child on this node and return its reference; raises what its start raises."""
        ...

    async def stop(self, child: ProcessId, reason: str) -> None:
        """Stop a child within the time that it has, and wait until it has ended."""
        ...

    def dismiss(self, child: ProcessId, reason: str) -> None:
        """Stop a child without waiting for its end."""
        ...

    def tell(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something done as a message of the parent; ``name`` is for logs."""
        ...

    def give_up(self, reason: str) -> None:
        """End the parent, and not in order; its ``stopping`` runs."""
        ...
