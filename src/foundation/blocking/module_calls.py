"""The calls of the module ``foundation.blocking``: those of the one cluster that runs in this program."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

from foundation import processes
from foundation.blocking.children import Children
from foundation.blocking.reference import Blocking
from foundation.blocking.registry import Groups, Presence
from foundation.blocking.starting import cluster_of, current_cluster
from foundation.blocking.stream import Stream
from foundation.cluster import ClusterInfo
from foundation.cluster.choosing import Node
from foundation.core.identity import NodeId, ProcessId
from foundation.distribution import Key, Placement
from foundation.membership import Member, MemberEvent
from foundation.processes import Child, Ended, PlanWords, Restart, Spec, Supervisor
from foundation.processes.calling.reference import remote_method
from foundation.reconfiguration import ReconfigurationReport

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_UNSET: Any = object()


@overload
def call(method: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
@overload
def call(method: Callable[P, AsyncIterator[T]], /, *args: P.args, **kwargs: P.kwargs) -> Stream[T]: ...
def call(method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a method and wait: ``call(counter.reference.add, 2)`` is checked like ``await counter.reference.add(2)``.

    A method that streams gives a :class:`Stream`. References in results are those for async code, as their types say.
    """
    reference, bound = remote_method(method)
    cluster = cluster_of(reference)
    if isinstance(reference, Blocking):
        return method(*args, **kwargs)
    made = method(*args, **kwargs)
    return cluster.iterate(made) if bound.stream else cluster.run(made)


def cast(method: Callable[P, Coroutine[Any, Any, Any]], /, *args: P.args, **kwargs: P.kwargs) -> None:
    """Have a method called without waiting for its end; see :func:`foundation.cast`."""
    reference, _ = remote_method(method)
    cluster_of(reference).run(processes.cast(method, *args, **kwargs))


def options(reference: Blocking[T], *, timeout_s: float | None = _UNSET) -> Blocking[T]:
    """Return a reference to the same process whose calls have other limits; see :func:`foundation.options`."""
    return processes.options(reference, timeout_s=timeout_s)


def start_process(
    cls: Callable[[*Ts], T] | Spec[T],
    /,
    *args: *Ts,
    name: str | None = None,
    node: Node | None = None,
    link: object | None = None,
    distribute: bool = False,
    restart: Restart | None = None,
    placement: Placement | None = None,
) -> Blocking[T]:
    """See :meth:`foundation.blocking.Cluster.start_process`."""
    options: Any = {"link": link, "distribute": distribute, "restart": restart, "placement": placement}
    return current_cluster().start_process(cls, *args, name=name, node=node, **options)


def start_processes(
    wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
) -> dict[str, Blocking[T]]:
    """See :meth:`foundation.blocking.Cluster.start_processes`."""
    return current_cluster().start_processes(wanted, restart=restart, placement=placement)


def children() -> Children:
    """See :attr:`foundation.blocking.Cluster.children`."""
    return current_cluster().children


def shard(cls: Callable[..., T], name: str, key: Key) -> Blocking[T]:
    """See :meth:`foundation.blocking.Cluster.shard`."""
    return current_cluster().shard(cls, name, key)


def migrate(reference: object, to_node: Member | NodeId | str) -> None:
    """See :meth:`foundation.blocking.Cluster.migrate`."""
    current_cluster().migrate(reference, to_node)


def drain(node: Member | NodeId | str) -> int:
    """See :meth:`foundation.blocking.Cluster.drain`."""
    return current_cluster().drain(node)


def undrain(node: Member | NodeId | str) -> None:
    """See :meth:`foundation.blocking.Cluster.undrain`."""
    current_cluster().undrain(node)


def start_supervisor(
    *children: Child[Any], name: str | None = None, node: Node | None = None, **plan: Unpack[PlanWords]
) -> Blocking[Supervisor]:
    """See :meth:`foundation.blocking.Cluster.start_supervisor`."""
    return current_cluster().start_supervisor(*children, name=name, node=node, **plan)


def stop_process(reference: object, reason: str = "stopped") -> None:
    """See :meth:`foundation.blocking.Cluster.stop_process`."""
    current_cluster().stop_process(reference, reason)


def send(target: object, message: object) -> None:
    """See :meth:`foundation.blocking.Cluster.send`."""
    current_cluster().send(target, message)


def ref(cls: Callable[..., T], name: str) -> Blocking[T]:
    """See :meth:`foundation.blocking.Cluster.ref`."""
    return current_cluster().ref(cls, name)


def cluster_info() -> ClusterInfo:
    """See :meth:`foundation.blocking.Cluster.cluster_info`."""
    return current_cluster().cluster_info()


def members() -> list[Member]:
    """See :meth:`foundation.blocking.Cluster.members`."""
    return current_cluster().members()


def events() -> Stream[MemberEvent]:
    """See :meth:`foundation.blocking.Cluster.events`."""
    return current_cluster().events()


def reconfigure(values: Mapping[str, Any] | None = None, /, **more: Any) -> ReconfigurationReport:  # noqa: ANN401
    """See :meth:`foundation.blocking.Cluster.reconfigure`."""
    return current_cluster().reconfigure(values, **more)


def monitor(target: object) -> Stream[Ended]:
    """See :meth:`foundation.blocking.Cluster.monitor`."""
    return current_cluster().monitor(target)


def register(name: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
    """See :meth:`foundation.blocking.Cluster.register`."""
    current_cluster().register(name, reference, metadata)


def unregister(name: str) -> None:
    """See :meth:`foundation.blocking.Cluster.unregister`."""
    current_cluster().unregister(name)


def whereis(name: str) -> ProcessId | None:
    """See :meth:`foundation.blocking.Cluster.whereis`."""
    return current_cluster().whereis(name)


def await_name(name: str, timeout_s: float | None = None) -> ProcessId:
    """See :meth:`foundation.blocking.Cluster.await_name`."""
    return current_cluster().await_name(name, timeout_s)


def wait_for_sync(timeout_s: float | None = 5.0) -> None:
    """See :meth:`foundation.blocking.Cluster.wait_for_sync`."""
    current_cluster().wait_for_sync(timeout_s)


def groups(scope: str = "") -> Groups:
    """Return the groups of a scope; see :attr:`foundation.blocking.Cluster.groups`."""
    return current_cluster().groups(scope)


def presence() -> Presence:
    """See :attr:`foundation.blocking.Cluster.presence`."""
    return current_cluster().presence
