"""``foundation status``: who is in, and what runs where."""

from __future__ import annotations

import asyncio
import json as json_format
from contextlib import nullcontext, suppress
from typing import Annotated, Any

import typer

from foundation import Cluster, Member, MemberStatus
from foundation.cli.joining import ClusterName, ConfigFile, CookieFile, Host, Peers, Strategies, Timeout, joining, run
from foundation.cli.node_report import NodeReport, totals
from foundation.cli.observing import everybody, observing
from foundation.distribution import ownership
from foundation.errors import FoundationError

_ANSWER_TIMEOUT_S = 1.0
_LINK_S = 0.5
_LOOK_AGAIN_S = 0.01
_EVERY_S = 1.0


def status(  # noqa: PLR0913 - the options of the command
    *,
    cluster_name: ClusterName = None,
    cluster: Strategies = None,
    peer: Peers = None,
    host: Host = None,
    cookie_file: CookieFile = None,
    config: ConfigFile = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second, until Ctrl-C.")] = False,
    timeout: Timeout = 2.0,
) -> int:
    """Show who is in the cluster and what runs where."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file, config)
    work = _watch(arguments, timeout, json=json) if watch else _once(arguments, timeout, json=json)
    with suppress(KeyboardInterrupt) if watch else nullcontext():
        run(lambda: work)
    return 0


async def _once(arguments: dict[str, Any], timeout_s: float, *, json: bool) -> None:
    async with observing(arguments, timeout_s) as cluster:
        reports = await _look(cluster)
    if json:
        print(json_format.dumps(_as_dict(cluster, reports), indent=2))
    else:
        from foundation.cli.status_tables import print_status  # noqa: PLC0415 - rich, which a node must not load

        print_status(cluster.config.cluster_name, reports)


async def _watch(arguments: dict[str, Any], timeout_s: float, *, json: bool) -> None:
    async with observing(arguments, timeout_s) as cluster:
        if json:
            while True:
                print(json_format.dumps(_as_dict(cluster, await _look(cluster))), flush=True)
                await asyncio.sleep(_EVERY_S)
        from foundation.cli.status_tables import StatusScreen  # noqa: PLC0415

        with StatusScreen() as screen:
            while True:
                screen.show(cluster.config.cluster_name, await _look(cluster))
                await asyncio.sleep(_EVERY_S)


def _as_dict(cluster: Cluster, reports: list[NodeReport]) -> dict[str, Any]:
    """Return plain values, as for JSON."""
    members = [report.as_dict() for report in reports]
    up = sum(report.member.status is MemberStatus.UP for report in reports)
    return {
        "cluster": cluster.config.cluster_name,
        "distribution": ownership(up),
        "members": members,
        "totals": totals(reports),
    }


async def _look(cluster: Cluster) -> list[NodeReport]:
    """Ask every member."""
    return await asyncio.gather(*(_ask(cluster, member) for member in everybody(cluster)))


async def _ask(cluster: Cluster, member: Member) -> NodeReport:
    processes = holdings = children = None
    if member.status is not MemberStatus.UNREACHABLE:
        with suppress(TimeoutError, FoundationError):
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                processes, holdings, children = await asyncio.gather(
                    cluster.processes(member), cluster.holdings(member), cluster.children.on(member.node_id)
                )
    path = await _path(cluster, member, patiently=processes is not None)
    return NodeReport(member, path, processes, holdings, children)


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
