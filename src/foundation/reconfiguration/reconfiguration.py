"""One node's part in changes of the configuration while the cluster runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from foundation.config import Config
from foundation.config.changes import checked_changes
from foundation.core import sources
from foundation.core.hybrid_clock import wall_s
from foundation.core.identity import NodeId
from foundation.errors import CallError, ConfigurationError, NoEligibleNodeError, ReconfigurationRefused
from foundation.membership import Membership, MemberStatus
from foundation.processes import Host, options
from foundation.reconfiguration.configurator import (
    CONFIGURATOR_SERIAL,
    Answer,
    Configurator,
    Refusal,
    configurator_of,
)
from foundation.reconfiguration.initiating import Initiating
from foundation.reconfiguration.promising import Promising, Proposal, Verdict
from foundation.reconfiguration.report import ReconfigurationReport, Setting
from foundation.reconfiguration.rows import ROW, Written, state_of
from foundation.reconfiguration.taking import Taking
from foundation.replication import Replication

_FOR_OTHERS_S = 30.0
_RELEASE_S = 1.0


class Reconfiguration:
    """Changes the configuration of all nodes, and takes the changes of others."""

    def __init__(
        self,
        configs: tuple[Config, Config],
        host: Host,
        membership: Membership,
        replication: Replication,
        heard: Mapping[str, Written],
    ) -> None:
        """``configs`` are what the sources say of this node, and the records that its parts share.

        ``heard`` is what others have said at run time before this node was started with it.
        """
        self._host = host
        self._membership = membership
        self._replica = replication.replica
        clock = sources.clock()
        self._taking = Taking(*configs, replication, heard)
        self._promising = Promising(self._taking, host.node_id, clock, self._is_in)
        self._initiating = Initiating(self._taking, self._promising, self, replication, membership.members, clock)
        host.build_in(CONFIGURATOR_SERIAL, Configurator(_Office(self, self._promising)))

    @property
    def config(self) -> Config:
        """The values in force."""
        return self._taking.config

    def on_change(self, listener: Callable[[], None]) -> None:
        """Have a part told when other options are in force that would notice too late by itself."""
        self._taking.listeners.append(listener)

    @property
    def needs_restart(self) -> bool:
        """Whether something was said that this node goes by only when it is started with it."""
        return self._taking.needs_restart

    @property
    def heard(self) -> Mapping[str, Written]:
        """What was said at run time, by key."""
        return self._taking.known

    async def reconfigure(self, values: Mapping[str, Any]) -> ReconfigurationReport:
        """See :meth:`foundation.Cluster.reconfigure`."""
        wanted = checked_changes(values, self.config)
        if not wanted:
            message = "reconfigure: there is nothing to change; give a key and its value"
            raise ConfigurationError(message)
        if not self.config.observer:
            return await self._initiating.change(wanted)
        answer = await options(self._of_any_member(), timeout_s=_FOR_OTHERS_S).reconfigure(wanted)
        if answer.refusal is not None:
            raise ReconfigurationRefused(answer.refusal.node, answer.refusal.key, answer.refusal.reason)
        assert answer.report is not None  # noqa: S101 - one of the two
        return answer.report

    async def settings(self) -> list[Setting]:
        """See :meth:`foundation.Cluster.settings`."""
        return await self._of_any_member().settings() if self.config.observer else self.own_settings()

    def own_settings(self) -> list[Setting]:
        """Return what was said at run time and holds, by key, as far as this node has heard."""
        rows = {m.name: self._replica.value(m.node_id, ROW) for m in self._membership.members()}
        return [
            Setting(
                key,
                written.value,
                written.node,
                wall_s(written.stamp),
                {name: state_of(row, key, written) for name, row in rows.items()},
            )
            for key, written in sorted(self._taking.known.items())
            if written.value is not None
        ]

    # --- what others are asked

    async def prepare(self, node: NodeId, proposal: Proposal, timeout_s: float) -> Verdict:
        """Ask a node for a promise; raises CallError."""
        return await options(configurator_of(self._host, node), timeout_s=timeout_s).prepare(proposal)

    async def release(self, node: NodeId, number: int) -> None:
        """Give a node its promise back, if it can be reached."""
        with suppress(CallError):
            await options(configurator_of(self._host, node), timeout_s=_RELEASE_S).release(self._host.node_id, number)

    def _of_any_member(self) -> Configurator:
        up = sorted(m.node_id for m in self._membership.members() if m.status is MemberStatus.UP)
        if not up:
            message = "no member is up that could carry out a change; start a node"
            raise NoEligibleNodeError(message)
        return configurator_of(self._host, up[0])

    def _is_in(self, node: NodeId) -> bool:
        return self._membership.member(node) is not None


class _Office:
    """What this node does for others."""

    def __init__(self, reconfiguration: Reconfiguration, promising: Promising) -> None:
        self._reconfiguration = reconfiguration
        self.prepare = promising.answer
        self.release = promising.release
        self.settings = reconfiguration.own_settings

    async def change_for(self, values: dict[str, Any]) -> Answer:
        try:
            return Answer(await self._reconfiguration.reconfigure(values))
        except ReconfigurationRefused as error:
            return Answer(refusal=Refusal(error.node, error.key, error.reason))
