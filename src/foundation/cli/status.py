"""``foundation status``: who is in, and what runs where."""

from __future__ import annotations

import asyncio
import json as json_format
from contextlib import suppress
from typing import Annotated, Any

import typer

import foundation
from foundation import Cluster, Member, MemberStatus
from foundation.cli.failure import CommandFailed
from foundation.cli.joining import ClusterName, CookieFile, Host, Peers, Strategies, joining, run
from foundation.cli.node_report import NodeReport
from foundation.errors import FoundationError

_QUIET_S = 0.05
_ANSWER_TIMEOUT_S = 1.0
_LINK_S = 0.5
_LOOK_AGAIN_S = 0.01


def status(
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to look for a node.")] = 2.0,
) -> int:
    """Show who is in the cluster and what runs where."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file)
    name, reports = run(lambda: look_around(arguments, timeout))
    if json:
        print(json_format.dumps({"cluster": name, "members": [report.as_dict() for report in reports]}, indent=2))
    else:
        from foundation.cli.status_tables import print_status  # noqa: PLC0415 - rich, which a node must not load

        print_status(name, reports)
    return 0


async def look_around(arguments: dict[str, Any], timeout_s: float) -> tuple[str, list[NodeReport]]:
    """Join as an observer and ask every member; return the name of the cluster and what they said.

    Raises :class:`CommandFailed` when nobody is found in ``timeout_s``.
    """
    async with foundation.start_cluster(observer=True, **arguments) as cluster:
        await _meet(cluster, timeout_s)
        reports = await asyncio.gather(*(_ask(cluster, member) for member in _everybody(cluster)))
        return cluster.config.cluster_name, reports


async def _meet(cluster: Cluster, timeout_s: float) -> None:
    """Wait for the first member, and then until no more come."""
    async with cluster.events() as events:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not cluster.members():
                    await anext(events)
        if not cluster.members():
            name, looked = cluster.config.cluster_name, ", ".join(cluster.config.strategy_names)
            message = f"no node of the cluster {name!r} was found within {timeout_s:g} s (by {looked}); is one running?"
            raise CommandFailed(message)
        with suppress(TimeoutError):
            while True:
                async with asyncio.timeout(_QUIET_S):
                    await anext(events)


def _everybody(cluster: Cluster) -> list[Member]:
    """Return also those whom others cannot reach, and whom this observer therefore could not meet."""
    found = {member.node_id: member for member in [*cluster.out_of_reach(), *cluster.members()]}
    return sorted(found.values(), key=lambda member: (member.name, member.node_id))


async def _ask(cluster: Cluster, member: Member) -> NodeReport:
    processes = None
    if member.status is not MemberStatus.UNREACHABLE:
        with suppress(TimeoutError, FoundationError):
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                processes = await cluster.processes(member)
    return NodeReport(member, await _path(cluster, member, patiently=processes is not None), processes)


async def _path(cluster: Cluster, member: Member, *, patiently: bool) -> str:
    """Tell how a member is reached.

    A direct link is dialed when the first question goes, which itself takes Zenoh: whoever answered gets a moment.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LINK_S
    while True:
        path = cluster.paths([member])[member.node_id]
        if path == "direct" or not patiently or loop.time() >= deadline:
            return path
        await asyncio.sleep(_LOOK_AGAIN_S)
