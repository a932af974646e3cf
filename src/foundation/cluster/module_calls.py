"""The calls of the module ``foundation``: those of the one cluster that runs in this program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from foundation.cluster.cluster import Node, current_cluster
from foundation.cluster.info import ClusterInfo
from foundation.core.events import EventStream
from foundation.membership import Member, MemberEvent
from foundation.processes import Monitor, Spec

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def start_process(
    cls: Callable[[*Ts], T] | Spec[T],
    /,
    *args: *Ts,
    name: str | None = None,
    node: Node | None = None,
    link: object | None = None,
) -> T:
    """See :meth:`foundation.Cluster.start_process`."""
    return await current_cluster().start_process(cls, *args, name=name, node=node, link=link)


def monitor(target: object) -> Monitor:
    """See :meth:`foundation.Cluster.monitor`."""
    return current_cluster().monitor(target)


async def stop_process(reference: object, reason: str = "stopped") -> None:
    """See :meth:`foundation.Cluster.stop_process`."""
    await current_cluster().stop_process(reference, reason)


async def send(target: object, message: object) -> None:
    """See :meth:`foundation.Cluster.send`."""
    await current_cluster().send(target, message)


def ref(cls: Callable[..., T], name: str) -> T:
    """See :meth:`foundation.Cluster.ref`."""
    return current_cluster().ref(cls, name)


def cluster_info() -> ClusterInfo:
    """See :meth:`foundation.Cluster.cluster_info`."""
    return current_cluster().cluster_info()


def members() -> list[Member]:
    """See :meth:`foundation.Cluster.members`."""
    return current_cluster().members()


def events() -> EventStream[MemberEvent]:
    """See :meth:`foundation.Cluster.events`."""
    return current_cluster().events()
