"""A cluster of simulated nodes: the whole library runs at each host, and the story does what it wants to them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from foundation.cluster import Cluster, start_cluster
from foundation.core.tasks import TaskScope
from foundation.errors import AlreadyRunningError, CallTimeout, NodeDown, NotRunningError, RemoteError
from foundation.fabric import FabricOptions
from foundation.membership import MemberStatus
from foundation.processes import ProcessOptions
from foundation.testing.cluster import Side, Sighting, TestNode, options_from
from foundation.testing.errors import HostKilledError, WaitFailed
from foundation.testing.simulation.host import SimulatedHost, SimulatedTask
from foundation.testing.simulation.links import NetworkOptions
from foundation.testing.simulation.simulation import Simulation

T = TypeVar("T")
P = ParamSpec("P")
Scenario = Callable[["SimulatedCluster"], Awaitable[T]]

TRANSPORT = "foundation.testing.simulation.engine:Transport"
_PORT = 7400
_SEEDS = 3
_LOOK_S = 0.05
_START_TIMEOUT_S = 60.0
_LAST_LINES = 20


@dataclass(eq=False)
class _Run:
    """One run of a node's program; what is left of an earlier one changes nothing of a later one."""

    cluster: Cluster | None = None
    node_id: str = ""
    takes_part: bool = False
    is_paused: bool = False
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    sightings: list[Sighting] = field(default_factory=list)


class SimulatedNode:
    """A node of a :class:`SimulatedCluster`, which makes it: one at each simulated host."""

    def __init__(
        self, host: SimulatedHost, peers: Sequence[str], options: Mapping[str, Any], run_timeout_s: float
    ) -> None:
        self.host = host
        """Where it runs: its clock, its address, and what else can happen to a machine."""
        self._name = host.name
        self._peers = tuple(peers)
        self._options = options
        self._run_timeout_s = run_timeout_s
        self._run = _Run()
        self._program: SimulatedTask[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.condition}>"

    @property
    def name(self) -> str:
        """The name of the node; it keeps it when it is started again."""
        return self._name

    @property
    def node_id(self) -> str:
        """The id of the node that runs, or that ran last."""
        if not self._run.node_id:
            message = f"{self.name} does not run: {self.condition}"
            raise NotRunningError(message)
        return self._run.node_id

    @property
    def runs(self) -> bool:
        """Whether the node takes part, be it paused."""
        return self._run.takes_part

    @property
    def is_paused(self) -> bool:
        """Whether the program was told to stand still."""
        return self.runs and self._run.is_paused

    @property
    def condition(self) -> str:
        """What is known about the program, for people."""
        if self._program is None:
            return "not started"
        if self.is_paused:
            return "paused"
        return "running" if self.runs else "ended" if self._program.done() else "starting"

    @property
    def sightings(self) -> Sequence[Sighting]:
        """What the node has said about others since it was started last, oldest first."""
        return tuple(self._run.sightings)

    @property
    def cluster(self) -> Cluster:
        """The node's own cluster, to look at; what is called on it has to run at the node, with :meth:`run`."""
        self._check_it_runs()
        return self._last

    async def run(
        self, function: Callable[Concatenate[Cluster, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run an async function on the node, with the node's :class:`Cluster` as its first argument.

        Raises :class:`RemoteError` for what it raises, with that as its cause, :class:`NodeDown` when the node ends
        meanwhile, :class:`CallTimeout` after the ``run_timeout_s`` of the cluster.
        """
        if not self.runs:
            raise self._gone()
        cluster = self._last

        async def work() -> T:
            try:
                return await function(cluster, *args, **kwargs)
            except Exception as error:
                raise _Raised(error) from error

        try:
            async with asyncio.timeout(self._run_timeout_s):
                return await self.host.run(work)
        except TimeoutError:
            message = f"{self.name} did not end {function.__qualname__} in {self._run_timeout_s} s"
            raise CallTimeout(message) from None
        except HostKilledError:
            raise self._gone() from None
        except _Raised as raised:
            raise raised.as_remote(self.name) from raised.error

    async def members(self) -> list[tuple[str, str]]:
        """Ask the node who is in: names and statuses, its own first."""
        return [(name, status) for _, name, status in self.view()]

    def view(self) -> list[tuple[str, str, str]]:
        """Look who is in, as the node sees it: ids, names and statuses, its own first."""
        return [(member.node_id, member.name, str(member.status)) for member in self.cluster.members()]

    async def until_sees(self, other: TestNode, status: str, timeout_s: float = 10.0) -> None:
        """Wait until the latest that this node has said about another one is that it has that status.

        Statuses are those of :class:`foundation.MemberStatus`. Raises :class:`WaitFailed` when the time is over.
        """

        def look() -> str | None:
            said = [seen.status for seen in self._run.sightings if seen.node_id == other.node_id]
            return None if said and said[-1] == status else f"it said: {', then '.join(said) or 'nothing'}"

        await _until(look, f"{self.name} sees {other.name} {status}", timeout_s)

    def kill(self) -> None:
        """End the program like SIGKILL; its host goes on and refuses connections."""
        self._check_it_runs()
        self._run.takes_part = False
        self.host.kill()

    def crash(self) -> None:
        """End the whole machine: nothing answers any more."""
        self._check_it_runs()
        self._run.takes_part = False
        self.host.crash()

    def pause(self) -> None:
        """Let the program stand still like SIGSTOP."""
        self._check_it_runs()
        self._run.is_paused = True
        self.host.pause()

    def resume(self) -> None:
        """Let a paused program go on like SIGCONT."""
        self._check_it_runs()
        self._run.is_paused = False
        self.host.resume()

    async def leave(self) -> None:
        """Let the node leave in order, and wait until its program has ended."""
        self._check_it_runs()
        assert self._program is not None  # noqa: S101 - since it runs
        self.host.loop.call_soon(self._run.leave.set)
        await self._program

    async def start(self) -> None:
        """Start the node, or start it again: another one, with the same name, that remembers nothing.

        Raises :class:`WaitFailed` when it does not take part in time, and what it fails with.
        """
        if self._program is not None and not self._program.done():
            message = f"{self.name} runs already"
            raise AlreadyRunningError(message)
        run = self._run = _Run()
        begin = self.host.restart if self._program else self.host.run
        program = self._program = begin(self._live, run)

        def look() -> str | None:
            if program.done():
                program.result()
            return None if self.runs else self.condition

        await _until(look, f"{self.name} takes part", _START_TIMEOUT_S)

    async def _live(self, run: _Run) -> None:
        given: dict[str, Any] = {"cluster": "static", "cookie": "simulated", "name": self.name, "peers": self._peers}
        async with start_cluster(**(given | self._fitted())) as cluster, TaskScope("sightings") as tasks:
            tasks.start(_watch(cluster, run.sightings), "sightings")
            run.cluster, run.node_id, run.takes_part = cluster, cluster.node.node_id, True
            try:
                await run.leave.wait()
            finally:
                run.takes_part = False

    def _fitted(self) -> dict[str, Any]:
        """Return the options with what a simulation needs."""
        options = options_from(self._options)
        fabric: FabricOptions = options.get("fabric", FabricOptions())
        processes: ProcessOptions = options.get("processes", ProcessOptions())
        return options | {
            "fabric": replace(fabric, transport=TRANSPORT, host=self.host.address, port=_PORT),
            "processes": replace(processes, slow_handler_s=None),  # its watchdog is a thread
        }

    @property
    def _last(self) -> Cluster:
        if self._run.cluster is None:
            message = f"{self.name} does not run: {self.condition}"
            raise NotRunningError(message)
        return self._run.cluster

    def _check_it_runs(self) -> None:
        if not self.runs:
            message = f"{self.name} does not run: {self.condition}"
            raise NotRunningError(message)

    def _gone(self) -> NodeDown:
        return NodeDown(f"{self.name} does not run any more")


class SimulatedCluster:
    """Nodes ``node-0``, ``node-1`` ... of a :class:`Simulation`; each knows the addresses of the first three.

    Args:
        simulation: Where they run; its story uses the cluster.
        nodes: How many.
        run_timeout_s: How long a function that is run on a node may take.
        options: Arguments of :func:`foundation.start_cluster` for all nodes. ``fabric``, ``membership``, ``discovery``
            and ``processes`` may be given as mappings: ``membership={"down_after_s": 2}``.
    """

    def __init__(
        self,
        simulation: Simulation,
        nodes: int = 3,
        *,
        run_timeout_s: float = 30.0,
        **options: Any,  # noqa: ANN401 - any argument of start_cluster
    ) -> None:
        self.simulation = simulation
        hosts = [simulation.host(f"node-{index}") for index in range(nodes)]
        seeds = [f"{host.address}:{_PORT}" for host in hosts[:_SEEDS]]
        self._nodes = tuple(SimulatedNode(host, seeds, options, run_timeout_s) for host in hosts)

    @property
    def nodes(self) -> Sequence[SimulatedNode]:
        """All nodes, whether they run or not."""
        return self._nodes

    async def start(self, timeout_s: float = _START_TIMEOUT_S) -> None:
        """Start all nodes at once, and wait until they agree."""
        async with asyncio.TaskGroup() as group:
            for node in self._nodes:
                group.create_task(node.start())
        await self.until_agreed(timeout_s)

    async def partition(self, a: Side, b: Side) -> None:
        """Let all packets between the two sides vanish."""
        self.simulation.network.partition(_hosts(a), _hosts(b))

    async def partition_oneway(self, a: Side, b: Side) -> None:
        """Let the packets from ``a`` to ``b`` vanish; those from ``b`` to ``a`` arrive."""
        self.simulation.network.partition_oneway(_hosts(a), _hosts(b))

    async def delay(self, a: Side, b: Side, extra_s: float) -> None:
        """Let packets between the two sides take so many seconds more; 0 takes that back."""
        self.simulation.network.delay(_hosts(a), _hosts(b), extra_s)

    async def drop(self, a: Side, b: Side, rate: float) -> None:
        """Lose that part of the packets between the two sides, 0 to 0.99: TCP sends them again, so that costs time."""
        self.simulation.network.drop(_hosts(a), _hosts(b), rate)

    async def heal(self) -> None:
        """End all partitions; what is delayed or dropped stays so."""
        self.simulation.network.heal()

    async def until_agreed(self, timeout_s: float = 10.0) -> None:
        """Wait until all nodes that run see each other as up, and nobody else.

        A paused node is not asked, and may be seen or not. Raises :class:`WaitFailed` with where views differ.
        """
        await _until(self.disagreement, "all nodes that run agree", timeout_s)

    def disagreement(self) -> str | None:
        """Say where views differ; None when all agree."""
        asked = [node for node in self._nodes if node.runs and not node.is_paused]
        needed = {node.node_id for node in asked}
        allowed = {node.node_id for node in self._nodes if node.runs}
        up = str(MemberStatus.UP)
        first: set[str] | None = None
        for node in asked:
            view = node.view()
            seen = {member for member, _, _ in view}
            if len(seen) < len(view) or not needed <= seen <= allowed or any(status != up for _, _, status in view):
                return f"{node.name} sees " + ", ".join(f"{name} ({it[:6]}) {status}" for it, name, status in view)
            if first is not None and seen != first:
                return f"{node.name} sees others than {asked[0].name}"
            first = seen
        return None


def simulate(
    scenario: Scenario[T],
    nodes: int = 3,
    *,
    seed: int = 0,
    network: NetworkOptions | None = None,
    **options: Any,  # noqa: ANN401 - of SimulatedCluster
) -> T:
    """Start a simulated cluster, run an async function with it once its nodes agree, and return what that returns.

    The same seed gives the same run, if Python was started with ``PYTHONHASHSEED=0``. ``options`` are those of
    :class:`SimulatedCluster`. What the function raises gets a note with the seed and what has happened until then.
    """
    simulation = Simulation(seed, network=network)
    try:
        return play(simulation, scenario, nodes, **options)
    except BaseException as error:
        lines = str(simulation.transcript).splitlines()
        error.add_note("\n".join([*lines[:1], *lines[1:][-_LAST_LINES:]]))
        raise


def play(
    simulation: Simulation,
    scenario: Scenario[T],
    nodes: int = 3,
    **options: Any,  # noqa: ANN401 - of SimulatedCluster
) -> T:
    """Do as :func:`simulate` in a simulation that the caller made, and may look at afterwards."""
    cluster = SimulatedCluster(simulation, nodes, **options)

    async def story() -> T:
        await cluster.start()
        return await scenario(cluster)

    return simulation.run(story)


class _Raised(Exception):  # noqa: N818 - never leaves this file
    """What a function raised that was run at a node."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    def as_remote(self, name: str) -> RemoteError:
        kind = f"{type(self.error).__module__}.{type(self.error).__qualname__}".removeprefix("builtins.")
        text = "".join(traceback.format_exception(self.error))
        return RemoteError(f"on {name}: {kind}: {self.error}", error_type=kind, remote_traceback=text)


async def _watch(cluster: Cluster, sightings: list[Sighting]) -> None:
    loop = asyncio.get_running_loop()
    async with cluster.events() as events:
        async for event in events:
            member = event.member
            sightings.append(Sighting(loop.time(), member.name, member.node_id, str(member.status)))


async def _until(look: Callable[[], str | None], what: str, timeout_s: float) -> None:
    """Wait until ``look`` returns None; else it returns what it saw."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while (seen := look()) is not None:
        if loop.time() >= deadline:
            message = f"not in {timeout_s} s: {what}; last seen:\n  {seen}"
            raise WaitFailed(message)
        await asyncio.sleep(_LOOK_S)


def _hosts(side: Side) -> list[str]:
    nodes: Iterable[TestNode] = side if isinstance(side, Iterable) else (side,)
    return [node.name for node in nodes]
