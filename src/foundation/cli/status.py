"""``foundation status``: who is in, and what runs where."""

from __future__ import annotations

import asyncio
import json as json_format
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Annotated, Any

import typer

import foundation
from foundation import Cluster, Member, MemberStatus
from foundation.cli.failure import CommandFailed
from foundation.cli.joining import ClusterName, CookieFile, Host, Peers, Strategies, joining, run
from foundation.cli.node_report import NodeReport, totals
from foundation.errors import FoundationError

_QUIET_S = 0.05
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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second, until Ctrl-C.")] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to look for a node.")] = 2.0,
) -> int:
    """Show who is in the cluster and what runs where."""
    arguments = joining(cluster_name, cluster, peer, host, cookie_file)
    work = _watch(arguments, timeout, json=json) if watch else _once(arguments, timeout, json=json)
    with suppress(KeyboardInterrupt) if watch else nullcontext():
        run(lambda: work)
    return 0


async def _once(arguments: dict[str, Any], timeout_s: float, *, json: bool) -> None:
    async with _observing(arguments, timeout_s) as cluster:
        reports = await _look(cluster)
    if json:
        print(json_format.dumps(_as_dict(cluster, reports), indent=2))
    else:
        from foundation.cli.status_tables import print_status  # noqa: PLC0415 - rich, which a node must not load

        print_status(cluster.config.cluster_name, reports)


async def _watch(arguments: dict[str, Any], timeout_s: float, *, json: bool) -> None:
    async with _observing(arguments, timeout_s) as cluster:
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
    return {"cluster": cluster.config.cluster_name, "members": members, "totals": totals(reports)}


@asynccontextmanager
async def _observing(arguments: dict[str, Any], timeout_s: float) -> AsyncGenerator[Cluster]:
    """Join as an observer; raises :class:`CommandFailed` when nobody is found in ``timeout_s``."""
    async with foundation.start_cluster(observer=True, **arguments) as cluster:
        await _meet(cluster, timeout_s)
        yield cluster


async def _look(cluster: Cluster) -> list[NodeReport]:
    """Ask every member."""
    return await asyncio.gather(*(_ask(cluster, member) for member in _everybody(cluster)))


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
    processes = holdings = None
    if member.status is not MemberStatus.UNREACHABLE:
        with suppress(TimeoutError, FoundationError):
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                processes, holdings = await asyncio.gather(cluster.processes(member), cluster.holdings(member))
    return NodeReport(member, await _path(cluster, member, patiently=processes is not None), processes, holdings)


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
