"""``foundation migrate``, ``foundation drain`` and ``foundation undrain``: move distributed children between nodes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from foundation import ChildReport, Cluster, Member
from foundation.cli.failure import CommandFailed
from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, Peers, Strategies, Timeout, joining, run
from foundation.cli.observing import observing
from foundation.cluster.choosing import find_member
from foundation.errors import CallError

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of a distributed child.")]
Node = Annotated[str, typer.Argument(metavar="NODE", help="The name or the id of a member.")]


def migrate(  # noqa: PLR0913 - the options of the command
    name: Name,
    node: Node,
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    timeout: Timeout = 2.0,
) -> int:
    """Move a distributed child to another node, with its state."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    print(run(lambda: _migrate(arguments, timeout, name, node)))
    return 0


def drain(  # noqa: PLR0913 - the options of the command
    node: Node,
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    timeout: Timeout = 2.0,
) -> int:
    """Have a node hand over its distributed children and take no more, as before it is stopped."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    print(run(lambda: _drain(arguments, timeout, node)))
    return 0


def undrain(  # noqa: PLR0913 - the options of the command
    node: Node,
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    timeout: Timeout = 2.0,
) -> int:
    """Have a node take distributed children again that was drained."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    print(run(lambda: _undrain(arguments, timeout, node)))
    return 0


async def _migrate(arguments: dict[str, Any], timeout_s: float, name: str, node: str) -> str:
    async with observing(arguments, timeout_s) as cluster:
        target = find_member(cluster.members(), node)
        holder = await cluster.children.holder(name)
        if holder is None:
            raise CommandFailed(await _why_nowhere(cluster, name))
        if holder == target.node_id:
            return f"{name} is on {target.name} already"
        source = find_member(cluster.members(), holder)
        await cluster.children.migrate(name, target.node_id, at=holder)
        return f"{name} was moved from {source.name} to {target.name}"


async def _drain(arguments: dict[str, Any], timeout_s: float, node: str) -> str:
    async with observing(arguments, timeout_s) as cluster:
        member = find_member(cluster.members(), node)
        left = await cluster.children.drain(member.node_id)
        if left:
            message = f"{member.name} takes no more children, but could not hand over {left:,} of its own"
            raise CommandFailed(message, details=["`foundation status` says why nobody else can run them"])
        return f"{member.name} has handed over its children and takes no more"


async def _undrain(arguments: dict[str, Any], timeout_s: float, node: str) -> str:
    async with observing(arguments, timeout_s) as cluster:
        member = find_member(cluster.members(), node)
        await cluster.children.undrain(member.node_id)
        return f"{member.name} takes children"


async def _why_nowhere(cluster: Cluster, name: str) -> str:
    """Ask everybody for a child that no node holds."""
    answers = await asyncio.gather(*(_on(cluster, member) for member in cluster.members()))
    known = next((child for children in answers for child in children if child.name == name), None)
    if known is None:
        return f"no distributed child is named {name!r}"
    if known.process_id is not None:
        return f"{name} runs on each node, and stays where it is"
    return f"{name} does not run, so it cannot be moved: {known.why}"


async def _on(cluster: Cluster, member: Member) -> list[ChildReport]:
    try:
        return await cluster.children.on(member.node_id)
    except CallError:
        return []
