"""What every node does for the others' changes of the configuration; a process like the agent and the desk."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from foundation.core.identity import NodeId, ProcessId
from foundation.distribution.desk import DESK_SERIAL
from foundation.processes import Host, Process, concurrent
from foundation.reconfiguration.promising import Proposal, Verdict
from foundation.reconfiguration.report import ReconfigurationReport, Setting

CONFIGURATOR_SERIAL = DESK_SERIAL - 1


class Refusal(Struct, frozen=True):
    """Who refused a change, which key, and why."""

    node: str
    key: str
    reason: str


class Answer(Struct, frozen=True):
    """What became of a change that was asked for from elsewhere: one of the two."""

    report: ReconfigurationReport | None = None
    refusal: Refusal | None = None


class Office(Protocol):
    """The reconfiguration of this node, as its configurator sees it."""

    def prepare(self, proposal: Proposal) -> Verdict:
        """Promise to take a change, or say why not."""
        ...

    def release(self, node: NodeId, number: int) -> None:
        """Take a promise back."""
        ...

    async def change_for(self, values: dict[str, Any]) -> Answer:
        """Carry out a change for who only looks on."""
        ...

    def settings(self) -> list[Setting]:
        """Return what was said at run time and holds."""
        ...


class Configurator(Process, wire_name="foundation:configurator"):
    """The part of the reconfiguration that other nodes can call. Its methods run beside each other."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @concurrent
    async def prepare(self, proposal: Proposal) -> Verdict:
        """Promise to take a change, or say why not."""
        return self._office.prepare(proposal)

    @concurrent
    async def release(self, node: NodeId, number: int) -> None:
        """Take the promise back that was given to a node."""
        self._office.release(node, number)

    @concurrent
    async def reconfigure(self, values: dict[str, Any]) -> Answer:
        """Carry out a change for who only looks on."""
        return await self._office.change_for(values)

    @concurrent
    async def settings(self) -> list[Setting]:
        """Return what was said at run time and holds."""
        return self._office.settings()


def configurator_of(host: Host, node: NodeId) -> Configurator:
    """Return a reference to the configurator of a node."""
    return host.reference(Configurator, ProcessId(node, CONFIGURATOR_SERIAL))
