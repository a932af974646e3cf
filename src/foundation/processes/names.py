"""Names for a host that is no part of a cluster."""

from __future__ import annotations

from foundation.core.identity import NodeId, ProcessId
from foundation.errors import NameTakenError, NoSuchNameError


class OwnNames:
    """The names of the processes of one host; see :class:`foundation.processes.ports.Registrar`."""

    def __init__(self, node: NodeId) -> None:
        self._node = node
        self._serials: dict[str, int] = {}

    def known(self, name: str) -> ProcessId | None:
        """Return the process with that name."""
        serial = self._serials.get(name)
        return None if serial is None else ProcessId(self._node, serial)

    async def find(self, name: str) -> ProcessId:
        """Return the process with that name, or raise :class:`NoSuchNameError`."""
        if (found := self.known(name)) is None:
            message = f"no process is named {name!r}"
            raise NoSuchNameError(message)
        return found

    async def register(self, name: str, serial: int, wire_name: str) -> None:
        """Give a process a name."""
        del wire_name
        if (owner := self.known(name)) is not None:
            message = f"the name {name!r} belongs to {owner}"
            raise NameTakenError(message)
        self._serials[name] = serial

    def is_followed(self, name: str) -> bool:
        """Tell that nothing here moves."""
        del name
        return False

    async def follow(self, name: str, last: ProcessId) -> ProcessId:
        """Return the process with that name: there is no other one to wait for."""
        del last
        return await self.find(name)

    def release(self, serial: int) -> None:
        """Take back all names of a process."""
        self._serials = {name: owner for name, owner in self._serials.items() if owner != serial}
