"""Build the parts of a node and start them in the order of the layers; the only file that knows them all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from foundation.cluster.credentials import Credentials
from foundation.cluster.member_monitors import MemberMonitors
from foundation.cluster.wiring import Wiring
from foundation.config import Config
from foundation.config.changes import SECTIONS
from foundation.core.in_force import own_copy
from foundation.core.sources import new_node_id
from foundation.core.version import __version__
from foundation.discovery import Announcement, Discovery, DiscoveryStrategy, Peer, make_strategy
from foundation.distribution import Children, Distribution
from foundation.fabric import Fabric
from foundation.membership import Facts, Membership, MemberStatus
from foundation.processes import Host, known_wire_names, on_new_wire_name
from foundation.reconfiguration import SETTINGS, Reconfiguration, SettingsRow, Written, started_with
from foundation.registry import (
    GROUPS,
    NAMES,
    PRESENCE,
    GroupRow,
    Groups,
    GroupTable,
    NameRow,
    Names,
    Presence,
    PresenceRow,
    PresenceTable,
    Registry,
)
from foundation.replication import Replication, Sync


@dataclass(frozen=True, slots=True)
class Parts:
    """The running parts of one node."""

    fabric: Fabric
    membership: Membership
    host: Host
    replication: Replication
    names: Names
    discovery: Discovery
    member_monitors: MemberMonitors
    registry: Registry
    groups: Groups
    presence: Presence
    sync: Sync
    distribution: Distribution
    children: Children
    credentials: Credentials
    reconfiguration: Reconfiguration


async def assemble(own: Config, heard: Mapping[str, Written], stack: AsyncExitStack) -> Parts:
    """Start fabric, membership, processes and discovery on ``stack``, which stops them in reverse.

    ``own`` is what the sources say of this node, ``heard`` what it has heard that others say at run time.
    """
    config = _shared(started_with(own, heard))
    strategies = _strategies(config)  # first: a misspelt name must fail before anything runs
    fallback = _fallback(config, strategies)
    fabric = Fabric(
        new_node_id(),
        config.name,
        cluster=config.cluster_name,
        cookie=config.cookie,
        version=__version__,
        options=config.fabric,
    )
    membership = Membership(fabric, _facts(config), config.membership)
    host = Host(fabric.peers, options=config.processes)
    kinds = {NAMES: NameRow, GROUPS: GroupRow, PRESENCE: PresenceRow, SETTINGS: SettingsRow}
    replication = Replication(fabric.peers, kinds, config.replication)
    names = Names(replication, config.registry)
    groups, presence = GroupTable(replication), PresenceTable(replication)
    sync = Sync(replication)
    distribution = Distribution(host, names, membership, replication, sync, config.distribution)
    reconfiguration = Reconfiguration((own, config), host, membership, replication, heard)
    Wiring(fabric, membership, host, replication, names, groups, presence, distribution).connect()
    stack.callback(groups.close)
    stack.callback(presence.close)
    member_monitors = MemberMonitors(membership)
    stack.callback(member_monitors.close)
    for part in (fabric, replication, membership, names, distribution, host):
        await stack.enter_async_context(part)
    stack.callback(on_new_wire_name(lambda _name: membership.describe(wire_names=tuple(known_wire_names()))))
    discovery = await stack.enter_async_context(_discovery(config, strategies, fallback, fabric, membership))
    reconfiguration.on_change(discovery.options_changed)
    faces = Registry(names, host), Groups(groups, host), Presence(presence, host)
    credentials = await stack.enter_async_context(Credentials(fabric, discovery, config))
    return Parts(
        fabric,
        membership,
        host,
        replication,
        names,
        discovery,
        member_monitors,
        *faces,
        sync,
        distribution,
        Children(distribution, host, names),
        credentials,
        reconfiguration,
    )


def _discovery(
    config: Config,
    strategies: dict[str, DiscoveryStrategy],
    fallback: dict[str, DiscoveryStrategy],
    fabric: Fabric,
    membership: Membership,
) -> Discovery:
    announcement = Announcement(
        fabric.node_id,
        config.name,
        config.cluster_name,
        __version__,
        fabric.addresses,
        config.fabric.port or None,
    )

    def found(_strategy: str, peers: frozenset[Peer]) -> None:
        for peer in sorted(peers, key=lambda peer: (peer.addresses, peer.node or "")):  # the same order in each run
            membership.seek(peer.addresses, peer.node)

    discovery = Discovery(strategies, announcement, found, config.discovery, fallback=fallback)
    discovery.use_cookie(config.cookie)
    return discovery


def _shared(config: Config) -> Config:
    """Copy the records for the parts. Who only looks on takes free ports: those given are for the node beside it."""
    records = {section: own_copy(getattr(config, section)) for section in SECTIONS}
    if config.observer:
        records["fabric"] = replace(config.fabric, port=0, session_port=0)
    return replace(config, **records)


def _facts(config: Config) -> Facts:
    return Facts(
        config.name,
        MemberStatus.JOINING,
        version=__version__,
        roles=config.roles,
        metadata=dict(config.metadata),
        wire_names=tuple(known_wire_names()),
        observer=config.observer,
    )


def _strategies(config: Config) -> dict[str, DiscoveryStrategy]:
    made = dict(make_configured(strategy, config) for strategy in config.strategies)
    if config.peers and "static" not in made:
        made["static"] = make_strategy("static", _arguments("static", config))
    return made


def _fallback(config: Config, strategies: dict[str, DiscoveryStrategy]) -> dict[str, DiscoveryStrategy]:
    made = dict(make_configured(strategy, config) for strategy in config.fallback)
    return {name: strategy for name, strategy in made.items() if name not in strategies}


def make_configured(strategy: str | DiscoveryStrategy, config: Config) -> tuple[str, DiscoveryStrategy]:
    """Return a strategy with what is configured for it, and its name."""
    if not isinstance(strategy, str):
        return type(strategy).__name__, strategy
    return strategy, make_strategy(strategy, _arguments(strategy, config))


def _arguments(name: str, config: Config) -> dict[str, Any]:
    """Return what is configured for a strategy; the peers are for the one that is a list of addresses."""
    arguments = dict(config.strategy_options.get(name, {}))
    if name == "static":
        arguments["addresses"] = (*config.peers, *arguments.get("addresses", ()))
    return arguments
