"""A node's part in its cluster, for threads: the calls of :class:`foundation.Cluster`, which wait for their results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack

import foundation.cluster as asynchronous
from foundation.blocking.children import Children
from foundation.blocking.job import Job
from foundation.blocking.loop_thread import leave_thread
from foundation.blocking.reference import Blocking, References
from foundation.blocking.registry import Groups, Presence, Registry
from foundation.blocking.session import Session
from foundation.blocking.stream import Stream
from foundation.cluster.choosing import Node
from foundation.config import Config
from foundation.core.identity import NodeId, ProcessId
from foundation.distribution import Key, Placement
from foundation.errors import NotRunningError
from foundation.membership import Member, MemberEvent
from foundation.processes import Child, Ended, PlanWords, Process, ProcessInfo, Restart, Spec, Supervisor
from foundation.reconfiguration import ReconfigurationReport, Setting

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_STOPPED = "the cluster is stopped: use it inside `with foundation.blocking.start_cluster()`"


class Cluster:
    """A running node, used from threads. Made by :func:`foundation.blocking.start_cluster`.

    All methods can be called from many threads at once, and not where an event loop is running
    (:class:`RunningLoopError`). Once the fabric is lost they raise :class:`FabricLostError`.
    """

    def __init__(self, cluster: asynchronous.Cluster, session: Session) -> None:
        self.asynchronous = cluster
        """The same cluster for async code; use it on its loop only, as with :meth:`run`."""
        self._session = session
        self._stopping: asyncio.Task[None] | None = None
        self._waiting: list[Job[None]] = []
        self.stopped = False
        sample: Any = session.ask(self._begin)
        self._references = References(session, sample)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the cluster in order; see :meth:`foundation.Cluster.stop`. Safe to call twice.

        Ctrl-C ends the wait, not the leaving. Raises :class:`FabricLostError` when the fabric was lost meanwhile.
        """
        self._session.refuse_running_loop()
        self.stop_within(None)

    def stop_within(self, timeout_s: float | None) -> None:
        """Stop, and raise TimeoutError when that takes longer; it goes on all the same."""
        if self._session.thread.is_forked:
            return  # it runs in the parent
        if not self.stopped:
            job: Job[None] = Job(None, self)
            self._session.thread.submit(self._join_stop, job)
            try:
                job.wait(timeout_s)
            except NotRunningError:  # somebody else stopped it at this moment
                if not self.stopped:
                    raise
        self._session.thread.join()

    @property
    def config(self) -> Config:
        """What this node was told to be."""
        return self.asynchronous.config

    @property
    def name(self) -> str:
        """The name of this node."""
        return self.asynchronous.name

    @property
    def node(self) -> Member:
        """This node, as the others see it."""
        return self._session.ask(lambda: self.asynchronous.node)

    @property
    def address(self) -> str:
        """Where this node can be reached, ``host:port``, for the ``peers`` of another one."""
        return self._session.ask(lambda: self.asynchronous.address)

    def members(self) -> list[Member]:
        """See :meth:`foundation.Cluster.members`."""
        return self._session.ask(self.asynchronous.members)

    def events(self) -> Stream[MemberEvent]:
        """Watch the other members; see :meth:`foundation.Cluster.events`. The iterator ends with the cluster."""
        return Stream(self._session, self._session.ask(self.asynchronous.events), ends_with_cluster=True)

    def cluster_info(self) -> asynchronous.ClusterInfo:
        """See :meth:`foundation.Cluster.cluster_info`."""
        return self._session.ask(self.asynchronous.cluster_info)

    def start_process(
        self,
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
        """Start a process and return a blocking reference to it; see :meth:`foundation.Cluster.start_process`."""
        options: Any = {"link": link, "distribute": distribute, "restart": restart, "placement": placement}
        starting: Coroutine[Any, Any, T] = self.asynchronous.start_process(cls, *args, name=name, node=node, **options)
        return self.blocking(self._session.run(starting))

    def start_processes(
        self, wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
    ) -> dict[str, Blocking[T]]:
        """See :meth:`foundation.Cluster.start_processes`."""
        return self.children.start_all(wanted, restart=restart, placement=placement)

    def start_supervisor(
        self, *children: Child[Any], name: str | None = None, node: Node | None = None, **plan: Unpack[PlanWords]
    ) -> Blocking[Supervisor]:
        """See :meth:`foundation.Cluster.start_supervisor`."""
        starting = self.asynchronous.start_supervisor(*children, name=name, node=node, **plan)
        return self.blocking(self._session.run(starting))

    def stop_process(self, reference: object, reason: str = "stopped") -> None:
        """See :meth:`foundation.Cluster.stop_process`."""
        self._session.run(self.asynchronous.stop_process(reference, reason))

    @property
    def children(self) -> Children:
        """See :attr:`foundation.Cluster.children`."""
        return Children(lambda: self.asynchronous.children, self._session, self._references)

    def shard(self, cls: Callable[..., T], name: str, key: Key) -> Blocking[T]:
        """See :meth:`foundation.Cluster.shard`."""
        return self.children.shard(cls, name, key)

    def migrate(self, reference: object, to_node: Member | NodeId | str) -> None:
        """See :meth:`foundation.Cluster.migrate`."""
        self._session.run(self.asynchronous.migrate(reference, to_node))

    def drain(self, node: Member | NodeId | str) -> int:
        """See :meth:`foundation.Cluster.drain`."""
        return self._session.run(self.asynchronous.drain(node))

    def undrain(self, node: Member | NodeId | str) -> None:
        """See :meth:`foundation.Cluster.undrain`."""
        self._session.run(self.asynchronous.undrain(node))

    def reconfigure(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> ReconfigurationReport:  # noqa: ANN401
        """See :meth:`foundation.Cluster.reconfigure`."""
        return self._session.run(self.asynchronous.reconfigure(values, **more))

    def settings(self) -> list[Setting]:
        """See :meth:`foundation.Cluster.settings`."""
        return self._session.run(self.asynchronous.settings())

    def monitor(self, target: object) -> Stream[Ended]:
        """Watch a process or a member: iterate over the one item; see :meth:`foundation.Cluster.monitor`."""
        return Stream(self._session, self._session.ask(lambda: self.asynchronous.monitor(target)))

    @property
    def registry(self) -> Registry:
        """See :attr:`foundation.Cluster.registry`."""
        return Registry(lambda: self.asynchronous.registry, self._session)

    @property
    def groups(self) -> Groups:
        """See :attr:`foundation.Cluster.groups`."""
        return Groups(lambda: self.asynchronous.groups, self._session)

    @property
    def presence(self) -> Presence:
        """See :attr:`foundation.Cluster.presence`."""
        return Presence(lambda: self.asynchronous.presence, self._session)

    def register(self, name: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
        """See :meth:`foundation.Cluster.register`."""
        self._session.run(self.asynchronous.register(name, reference, metadata))

    def unregister(self, name: str) -> None:
        """See :meth:`foundation.Cluster.unregister`."""
        self._session.run(self.asynchronous.unregister(name))

    def whereis(self, name: str) -> ProcessId | None:
        """See :meth:`foundation.Cluster.whereis`."""
        return self._session.ask(lambda: self.asynchronous.whereis(name))

    def await_name(self, name: str, timeout_s: float | None = None) -> ProcessId:
        """See :meth:`foundation.Cluster.await_name`."""
        return self._session.run(self.asynchronous.await_name(name, timeout_s))

    def wait_for_sync(self, timeout_s: float | None = 5.0) -> None:
        """See :meth:`foundation.Cluster.wait_for_sync`."""
        self._session.run(self.asynchronous.wait_for_sync(timeout_s))

    def ref(self, cls: Callable[..., T], name: str) -> Blocking[T]:
        """Return a blocking reference by name; see :meth:`foundation.Cluster.ref`."""
        return self.blocking(self._session.ask(lambda: self.asynchronous.ref(cls, name)))

    def send(self, target: object, message: object) -> None:
        """See :meth:`foundation.Cluster.send`."""
        self._session.run(self.asynchronous.send(target, message))

    def processes(self, node: Member | NodeId | str | None = None) -> list[ProcessInfo]:
        """See :meth:`foundation.Cluster.processes`."""
        return self._session.run(self.asynchronous.processes(node))

    def blocking(self, reference: T) -> Blocking[T]:
        """Return a blocking reference for one that is for async code, such as ``counter.reference``."""
        made: Blocking[T] = self._references.blocking(reference)  # type: ignore[arg-type]
        return made

    def owns(self, reference: Any) -> bool:  # noqa: ANN401 - references are typed as their classes
        """Tell whether a reference is one of this node."""
        return self._references.belongs(reference)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await any coroutine on the cluster's loop: ``cluster.run(counter.reference.add(2))`` is an ``int``."""
        return self._session.run(work)

    def iterate(self, source: AsyncIterator[T]) -> Stream[T]:
        """Iterate over any async iterator on the cluster's loop."""
        return Stream(self._session, source)

    def _begin(self) -> Process:
        self._session.thread.stops.append(self._stop_once)
        self._session.start(self._session.close_when_lost(self.asynchronous.until_lost()), "watch the fabric")
        return self.asynchronous.ref(Process, "any")

    def _join_stop(self, job: Job[None]) -> None:
        self._waiting.append(job)
        self._begin_stop()

    async def _stop_once(self) -> None:
        # A thread may call `stop` while the thread of the loop stops everything of its own accord, and the reverse.
        await asyncio.wait({self._begin_stop()})

    def _begin_stop(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = self._session.thread.start(self._stop(), "stop")
        return self._stopping

    async def _stop(self) -> None:
        failure: BaseException | None = None
        try:
            await self.asynchronous.stop()
        except BaseException as error:  # noqa: BLE001 - it belongs to the threads that wait
            failure = error
        await self._session.close(lambda: NotRunningError(_STOPPED))
        self.stopped = True
        self._session.thread.stops.remove(self._stop_once)
        leave_thread(self._session.thread)
        for job in self._waiting:
            self._session.thread.finished(job)
            job.finish(None) if failure is None else job.fail(failure)
