"""One node's part in a cluster: start processes, call them, send to them, watch who is there, leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar, TypeVarTuple, Unpack
from weakref import WeakSet

from msgspec import structs

from foundation.cluster.assembly import Parts
from foundation.cluster.choosing import Anywhere, Node, find_member, least_loaded
from foundation.cluster.credentials import Credentials
from foundation.cluster.info import ClusterInfo, paths
from foundation.cluster.joining import have_enough, join
from foundation.cluster.load import LoadTeller
from foundation.cluster.loneliness import mind_loneliness
from foundation.config import Config
from foundation.core.collecting import collect_rarely
from foundation.core.events import EventStream
from foundation.core.identity import NodeId, ProcessId
from foundation.core.tasks import TaskScope
from foundation.distribution import Children, Key, Placement
from foundation.errors import AlreadyRunningError, ArgumentError, NotRunningError
from foundation.membership import Member, MemberEvent, MemberStatus, MemberUp
from foundation.processes import (
    Child,
    Monitor,
    PlanWords,
    ProcessInfo,
    Restart,
    Spec,
    Supervisor,
    as_process_class,
    described,
    process_id_of,
    send,
    supervisor,
)
from foundation.processes import Process as AnyProcess
from foundation.reconfiguration import ReconfigurationReport, Setting
from foundation.registry import Groups, Holdings, Presence, Registry, clerk_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_running: WeakSet[Cluster] = WeakSet()
"""Weak, so that a node that was thrown away with its event loop, and never stopped, does not count for ever."""


def current_cluster() -> Cluster:
    """Return the one cluster that runs in this program: what the module-level calls act on.

    Raises :class:`NotRunningError` when there is none, or more than one: then call the method of the one that is meant.
    """
    running = [cluster for cluster in _running if not cluster.is_abandoned]
    if len(running) == 1:
        return running[0]
    message = (
        f"{len(running)} clusters run in this program; call the method of the one that is meant"
        if running
        else "no cluster runs in this program; start one: async with foundation.start_cluster() as cluster"
    )
    raise NotRunningError(message)


class Cluster:
    """A running node. Made by :func:`foundation.start_cluster`; it belongs to the event loop that started it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.probe_port: int | None = None
        self._stack = AsyncExitStack()
        self._tasks = TaskScope(f"cluster {config.cluster_name}")
        self._parts: Parts | None = None
        self._load: LoadTeller | None = None
        self._was_started = False
        self._loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        """Start all parts, meet whom discovery finds at first sight, and take part."""
        if self._was_started:
            message = "a cluster can be started once; start_cluster() makes a new one"
            raise AlreadyRunningError(message)
        self._was_started = True
        async with AsyncExitStack() as stack:
            stack.callback(collect_rarely())
            self._loop = asyncio.get_running_loop()
            parts, probes, self.probe_port = await join(self._config, stack)
            self._load = LoadTeller(parts.membership, parts.host, parts.fabric)
            stack.push_async_callback(parts.distribution.hand_all_over)
            stack.callback(parts.membership.become, MemberStatus.LEAVING)
            parts.membership.become(MemberStatus.UP)
            await stack.enter_async_context(self._tasks)
            self._tasks.keep_running(self._load.run, "tell load")
            self._parts = parts
            stack.callback(setattr, self, "_parts", None)
            self._tasks.keep_running(partial(mind_loneliness, self), "mind loneliness")
            await have_enough(parts, probes)
            self._stack = stack.pop_all()
        _running.add(self)

    async def stop(self) -> None:
        """Leave the cluster: take no more work, stop the processes, say goodbye, close. Safe to call twice.

        Raises :class:`FabricLostError` when the fabric was lost meanwhile.
        """
        _running.discard(self)
        parts, self._parts = self._parts, None
        await self._stack.aclose()
        if parts is not None:
            parts.fabric.raise_if_lost()

    async def until_lost(self) -> None:
        """Wait until the fabric under this node is lost, and raise :class:`FabricLostError`; normally for ever."""
        await self._running.fabric.until_lost()

    @property
    def is_abandoned(self) -> bool:
        """Whether its event loop was closed without stopping it."""
        return self._loop.is_closed()

    @property
    def config(self) -> Config:
        """What this node was told to be, also while it runs."""
        return self._config if self._parts is None else self._parts.reconfiguration.config

    @property
    def name(self) -> str:
        """The name of this node."""
        return self._config.name

    @property
    def node(self) -> Member:
        """This node, as the others see it."""
        return self._running.membership.me

    @property
    def address(self) -> str:
        """Where this node can be reached, ``host:port``, for the ``peers`` of another one."""
        return self._running.fabric.addresses[0]

    def members(self) -> list[Member]:
        """Return everybody who is in, whatever their condition: this node first, the others by name."""
        return self._running.membership.members()

    def out_of_reach(self) -> list[Member]:
        """Return who cannot be reached by this node or by one that it has met: also nodes that it has never met."""
        return self._running.membership.out_of_reach()

    def events(self) -> EventStream[MemberEvent]:
        """Watch the other members: first a :class:`MemberUp` for each that is up, then whatever happens.

        An async iterator that ends with the cluster. It never misses an event unless its reader falls 10,000 behind;
        then the oldest are dropped.
        """
        membership = self._running.membership
        me = membership.me.node_id
        present = [MemberUp(m) for m in self.members() if m.status is MemberStatus.UP and m.node_id != me]
        return membership.events.stream(present)

    def cluster_info(self) -> ClusterInfo:
        """Return what this node knows about the cluster, at once and without asking anybody."""
        members = self.members()
        return ClusterInfo.of(self.config, members, self._load, self.paths(members))

    def paths(self, members: Sequence[Member]) -> dict[NodeId, str]:
        """Return how this node reaches these members now; see :attr:`ClusterInfo.paths`."""
        fabric = self._running.fabric
        return paths(members, fabric.node_id, fabric.peers.ways())

    async def start_process(
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
    ) -> T:
        """Start a process and return a reference to it, typed as its class.

        ``cls`` is a :class:`Process` class followed by its positional arguments, or a :func:`spec` when it takes
        keywords. ``node`` says where: a member, its id or its name; :data:`ANY` for whoever can run it and runs the
        fewest; here by default. ``link`` is a reference to a process that shares its fate: when either ends otherwise
        than in order (it crashes, its node goes) the other is stopped too, wherever it is.

        ``distribute=True`` has the process run somewhere in the cluster as long as there is a node that can run it:
        see :meth:`foundation.distribution.Children.start`, also for ``restart`` and ``placement``, which belong to it.
        With ``node`` only that one can.

        Raises what the constructor or ``started`` raises, :class:`ArgumentError` for an argument that does not fit
        (before anything is sent), :class:`NameTakenError`, :class:`NoEligibleNodeError`, :class:`NoSuchProcessError`
        when the process to link with is gone.
        """
        wanted = described(cls, args)
        if distribute:
            if link is not None:
                message = "a distributed process outlives nodes, so it is linked with none: monitor it instead"
                raise ArgumentError(message)
            placement = self._placement(node, placement)
            return await self.children.start(wanted, name=name, restart=restart or "permanent", placement=placement)
        if restart is not None or placement is not None:
            message = "restart and placement are for distribute=True; a supervisor restarts processes of one node"
            raise ArgumentError(message)
        host = self._running.host
        linked = None if link is None else process_id_of(link)
        where = self._place(node, wanted)
        cls_to_start = as_process_class(wanted.cls)
        started: Any = await host.start_on(where, cls_to_start, wanted.args, wanted.kwargs, name=name, link=linked)
        return started  # type: ignore[no-any-return]

    async def start_processes(
        self, wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
    ) -> dict[str, T]:
        """Start many distributed processes at once; see :meth:`foundation.distribution.Children.start_all`."""
        return await self.children.start_all(wanted, restart=restart, placement=placement)

    async def start_supervisor(
        self,
        *children: Child[Any],
        name: str | None = None,
        node: Node | None = None,
        **plan: Unpack[PlanWords],
    ) -> Supervisor:
        """Start a supervisor with its children, in their order, and return a reference to it.

        The words of ``plan`` are those of :func:`foundation.supervisor`. ``node`` is as for :meth:`start_process`; the
        children run on the same node. Raises what the start of a child raises; those started before it are stopped.
        """
        return await self.start_process(supervisor(*children, **plan).spec, name=name, node=node)

    async def stop_process(self, reference: object, reason: str = "stopped") -> None:
        """Stop a process wherever it is: it finishes its message, then ``stopping(reason)`` runs.

        A distributed child is ended for good, and not started again by anybody.
        """
        if (child_name := self._running.children.is_child(reference)) is not None:
            await self._running.children.stop(child_name)
            return
        await self._running.host.stop(process_id_of(reference), reason)

    @property
    def children(self) -> Children:
        """Distributed children: processes that run somewhere, whatever becomes of single nodes."""
        return self._running.children

    def shard(self, cls: Callable[..., T], name: str, key: Key) -> T:
        """Return the shard that is responsible for a key; see :meth:`foundation.distribution.Children.shard`."""
        found: T = self._running.children.shard(cls, name, key)
        return found

    async def migrate(self, reference: object, to_node: Member | NodeId | str) -> None:
        """Move a distributed child, with its state; see :meth:`foundation.distribution.Children.migrate`."""
        await self._running.children.migrate(reference, self._find(to_node))

    async def drain(self, node: Member | NodeId | str) -> int:
        """Have a member hand over all its children and take no more; return how many it could not hand over."""
        return await self._running.children.drain(self._find(node))

    async def undrain(self, node: Member | NodeId | str) -> None:
        """Have a member take children again; see :meth:`foundation.distribution.Children.undrain`."""
        await self._running.children.undrain(self._find(node))

    async def reconfigure(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> ReconfigurationReport:  # noqa: ANN401
        """Change the configuration of all nodes while they run: ``{"membership.down_after_s": 20}``.

        Keys are dotted or tables, ``membership={"down_after_s": 20}``; None takes back what was said at run time.
        Raises :class:`ConfigurationError` for what cannot be used or changed, :class:`ReconfigurationRefused` when a
        member that is up refuses: then no node goes by it. See :class:`foundation.reconfiguration.Reconfiguration`.
        """
        return await self._running.reconfiguration.reconfigure({**(values or {}), **more})

    async def settings(self) -> list[Setting]:
        """Return what was said at run time and holds, and how nodes go by it."""
        return await self._running.reconfiguration.settings()

    @property
    def credentials(self) -> Credentials:
        """The cookie and the certificates, which can be replaced while the node runs."""
        return self._running.credentials

    def monitor(self, target: object) -> Monitor:
        """Watch a process or a member: await the result for its :class:`Ended`, or iterate over that one item.

        ``target`` is a reference, a :class:`ProcessId` or a :class:`Member`. The end is told exactly once, with its
        reason, also when the process had ended before. While a node is unreachable nothing is told; when it is down
        that is the end, and nothing is told of a process that comes back with its node.

        A reference by name means the process that has the name now; raises :class:`NoSuchNameError` when nobody has
        it, :class:`Overloaded` when too much waits for its node.
        """
        parts = self._running
        if isinstance(target, Member):
            return Monitor(partial(parts.member_monitors.watch, target.node_id))
        return Monitor(partial(parts.host.monitors.watch, process_id_of(target)))

    def ref(self, cls: Callable[..., T], name: str) -> T:
        """Return a reference by name, typed as ``cls`` (a process class or a Protocol).

        It is looked up at each call, wherever the process is then; a call raises :class:`NoSuchNameError` when
        nobody has the name.
        """
        found: T = self._running.host.ref(cls, name)
        return found

    @property
    def registry(self) -> Registry:
        """Names of processes: register and unregister them, their metadata, look them up, watch them."""
        return self._running.registry

    @property
    def groups(self) -> Groups:
        """Groups of processes: join, leave, members, publish, call all; ``groups("scope")`` are those of a scope."""
        return self._running.groups

    @property
    def presence(self) -> Presence:
        """Who is present in which topic: track, update, untrack, list, watch."""
        return self._running.presence

    async def register(self, name: str, reference: object, metadata: Mapping[str, Any] | None = None) -> None:
        """Give a process, of any node, a name; see :meth:`foundation.registry.Registry.register`."""
        await self._running.registry.register(name, reference, metadata)

    async def unregister(self, name: str) -> None:
        """Take a name back from the process that has it; raises :class:`NoSuchNameError`."""
        await self._running.registry.unregister(name)

    def whereis(self, name: str) -> ProcessId | None:
        """Return which process has a name, as far as this node has heard: at once, without asking anybody."""
        return self._running.names.known(name)

    async def await_name(self, name: str, timeout_s: float | None = None) -> ProcessId:
        """Wait until somebody has a name and return who; raises :class:`CallTimeout`."""
        return await self._running.names.await_name(name, timeout_s)

    async def wait_for_sync(self, timeout_s: float | None = 5.0) -> None:
        """Wait until all members know the names, groups and presences that this node knew when it was called.

        That is: they hold what this node had written, and it holds what they had. Who goes down meanwhile is not
        waited for. Raises :class:`CallTimeout` with the names of those who did not confirm it, such as unreachable
        ones.
        """
        parts = self._running
        me = parts.fabric.node_id
        await parts.sync.wait(
            lambda: [member.node_id for member in parts.membership.members() if member.node_id != me],
            self._name_of,
            timeout_s,
        )

    async def send(self, target: object, message: object) -> None:
        """Give a plain message to a process, named or by reference; it lands in ``handle_message``. No reply."""
        host = self._running.host
        await send(host.ref(AnyProcess, target) if isinstance(target, str) else target, message)

    async def processes(self, node: Member | NodeId | str | None = None) -> list[ProcessInfo]:
        """Ask a member (this node by default) which processes it runs."""
        host = self._running.host
        return host.processes() if node is None else await host.agent(self._find(node)).processes()

    async def holdings(self, node: Member | NodeId | str | None = None) -> Holdings:
        """Ask a member (this node by default) which names and groups its processes have, for people."""
        host = self._running.host
        return await clerk_of(host, host.node_id if node is None else self._find(node)).holdings()

    @property
    def _running(self) -> Parts:
        if self._parts is None:
            message = "the cluster is not running: use it inside `async with foundation.start_cluster()`"
            raise NotRunningError(message)
        return self._parts

    def _placement(self, node: Node | None, placement: Placement | None) -> Placement | None:
        if node is None or isinstance(node, Anywhere):
            return placement
        return structs.replace(placement or Placement(), node=self._name_of(self._find(node)))

    def _name_of(self, node: NodeId) -> str:
        return next((member.name for member in self.members() if member.node_id == node), node[:8])

    def _find(self, node: Member | NodeId | str) -> NodeId:
        return find_member(self.members(), node).node_id

    def _place(self, node: Node | None, wanted: Spec[Any]) -> NodeId:
        if node is None:
            return self._running.fabric.node_id
        if not isinstance(node, Anywhere):
            return self._find(node)
        assert self._load is not None  # noqa: S101 - set with the parts
        return least_loaded(self.members(), wanted, self._load.least_loaded)
