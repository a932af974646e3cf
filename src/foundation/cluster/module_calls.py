"""The calls of the module ``foundation``: those of the one cluster that runs in this program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, TypeVarTuple, Unpack

from foundation.cluster.choosing import Node
from foundation.cluster.cluster import current_cluster
from foundation.cluster.info import ClusterInfo
from foundation.core.events import EventStream
from foundation.core.identity import NodeId, ProcessId
from foundation.distribution import Children, Key, Placement
from foundation.membership import Member, MemberEvent
from foundation.processes import Child, Monitor, PlanWords, Restart, Spec, Supervisor
from foundation.reconfiguration import ReconfigurationReport
from foundation.registry import Groups, Presence

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def start_process(
    cls: Callable[[*Ts], T] | Spec[T],
    /,
    *args: *Ts,
    name: str | None = None,
    node: Node | None = None,
    link: object | None = None,
    distribute: bool = False,
    restart: Restart | None = None,
    placement: Placement | None = None,
) -> T:
    """See :meth:`foundation.Cluster.start_process`."""
    options: Any = {"link": link, "distribute": distribute, "restart": restart, "placement": placement}
    return await current_cluster().start_process(cls, *args, name=name, node=node, **options)


async def start_processes(
    wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
) -> dict[str, T]:
    """See :meth:`foundation.Cluster.start_processes`."""
    return await current_cluster().start_processes(wanted, restart=restart, placement=placement)


def children() -> Children:
    """See :attr:`foundation.Cluster.children`."""
    return current_cluster().children


def shard(cls: Callable[..., T], name: str, key: Key) -> T:
    """See :meth:`foundation.Cluster.shard`."""
    return current_cluster().shard(cls, name, key)


async def migrate(reference: object, to_node: Member | NodeId | str) -> None:
    """See :meth:`foundation.Cluster.migrate`."""
    await current_cluster().migrate(reference, to_node)


async def drain(node: Member | NodeId | str) -> int:
    """See :meth:`foundation.Cluster.drain`."""
    return await current_cluster().drain(node)


async def undrain(node: Member | NodeId | str) -> None:
    """See :meth:`foundation.Cluster.undrain`."""
    await current_cluster().undrain(node)


async def reconfigure(values: Mapping[str, Any] | None = None, /, **more: Any) -> ReconfigurationReport:  # noqa: ANN401
    """See :meth:`foundation.Cluster.reconfigure`."""
    return await current_cluster().reconfigure(values, **more)


async def start_supervisor(
    *children: Child[Any], name: str | None = None, node: Node | None = None, **plan: Unpack[PlanWords]
) -> Supervisor:
    """See :meth:`foundation.Cluster.start_supervisor`."""
    return await current_cluster().start_supervisor(*children, name=name, node=node, **plan)


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


async def register(name: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
    """See :meth:`foundation.Cluster.register`."""
    await current_cluster().register(name, reference, metadata)


async def unregister(name: str) -> None:
    """See :meth:`foundation.Cluster.unregister`."""
    await current_cluster().unregister(name)


def whereis(name: str) -> ProcessId | None:
    """See :meth:`foundation.Cluster.whereis`."""
    return current_cluster().whereis(name)


async def await_name(name: str, timeout_s: float | None = None) -> ProcessId:
    """See :meth:`foundation.Cluster.await_name`."""
    return await current_cluster().await_name(name, timeout_s)


async def wait_for_sync(timeout_s: float | None = 5.0) -> None:
    """See :meth:`foundation.Cluster.wait_for_sync`."""
    await current_cluster().wait_for_sync(timeout_s)


def groups(scope: str = "") -> Groups:
    """Return the groups of a scope; see :attr:`foundation.Cluster.groups`."""
    return current_cluster().groups(scope)


def presence() -> Presence:
    """See :attr:`foundation.Cluster.presence`."""
    return current_cluster().presence
