"""What becomes of a process that has lost its name to another one, after a partition."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from foundation.core.identity import ProcessId
from foundation.errors import CallError, NoSuchProcessError
from foundation.processes import EndReason, Hook, Host, Process, known_class
from foundation.registry.names import Names
from foundation.registry.rows import NAMES

logger = logging.getLogger(__name__)


class Merging(Protocol):
    """What the winner may have."""

    async def merge(self, state: Any) -> Any:  # noqa: ANN401 - the winner says what it takes
        """Take over what the other one knows."""
        ...


class NameLoss:
    """Let the winner merge the state of the loser, tell the loser, and stop it unless it wants to go on.

    All of it is one message of the loser, so no other one changes its state between.
    """

    def __init__(self, host: Host, names: Names) -> None:
        self._host = host
        self._names = names
        self._merged: dict[int, set[ProcessId]] = {}
        """Who has been given the state of which process."""
        names.lost_name = self.lost
        host.ended.append(lambda serial, _: self._merged.pop(serial, None))

    def lost(self, name: str, serial: int, winner: ProcessId) -> None:
        """Begin; see :class:`foundation.registry.names.Names`."""
        process_id = ProcessId(self._host.node_id, serial)
        try:
            cls = self._host.class_of(process_id)
        except NoSuchProcessError:
            return

        async def run(process: Process) -> None:
            await self._hand_over(process, winner)
            if getattr(cls, "name_lost", None) is not Process.name_lost:
                await process.name_lost(name, self._host.reference(self._class_of(name), winner))
            else:
                self._host.end(serial, f"lost the name {name!r} to {winner}", EndReason.LOST_NAME)

        self._host.tell(serial, Hook("name_lost", run))

    def _class_of(self, name: str) -> type[Process]:
        """Return the class of who has a name, as far as this program knows it."""
        seen = self._names.index.see(NAMES + name)
        return known_class(seen[1].wire_name if seen is not None else "") or Process

    async def _hand_over(self, process: Process, winner: ProcessId) -> None:
        """Give the winner what the loser knows, if both are made for that."""
        snapshot = getattr(process, "snapshot", None)
        merged = self._merged.setdefault(process.process_id.serial, set())
        if snapshot is None or winner in merged:
            return
        merged.add(winner)
        protocol: Any = Merging  # mypy refuses a Protocol as a type[T]
        merging: Merging = self._host.reference(protocol, winner)
        try:
            await merging.merge(await snapshot())
        except CallError as error:
            logger.warning("%s may not have taken the state of %s: %s", winner, process.process_id, error)
        except Exception:
            logger.exception("the state of %s was not merged into %s", process.process_id, winner)
