"""A cluster of simulated nodes: the whole library runs at each host, and the story does what it wants to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from foundation.cluster import Cluster, start_cluster
from foundation.fabric import FabricOptions
from foundation.membership import MemberStatus
from foundation.processes import ProcessOptions
from foundation.testing.errors import SimulationError
from foundation.testing.simulation.host import SimulatedHost, SimulatedTask
from foundation.testing.simulation.simulation import Simulation

T = TypeVar("T")
P = ParamSpec("P")

TRANSPORT = "foundation.testing.simulation.engine:Transport"
_PORT = 7400
_LOOK_S = 0.05


class SimulatedNode:
    """One node, at a host of its own."""

    def __init__(self, host: SimulatedHost, peers: tuple[str, ...], options: dict[str, Any]) -> None:
        self.host = host
        self.name = host.name
        self._peers = peers
        self._options = options
        self._cluster: Cluster | None = None
        self._is_up = False
        self._leave: asyncio.Event | None = None
        self._program: SimulatedTask[None] | None = None

    @property
    def is_up(self) -> bool:
        """Tell whether the node takes part."""
        return self._is_up

    def start(self) -> None:
        """Start the node, or start it again after it ended."""
        self._program = self.host.restart(self._live) if self._program else self.host.run(self._live)

    def run(
        self, function: Callable[Concatenate[Cluster, P], Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
    ) -> SimulatedTask[T]:
        """Have a coroutine function run at the node, with its cluster as the first argument."""
        return self.host.run(lambda: function(self._running(), *args, **kwargs))

    def members(self) -> list[tuple[str, str]]:
        """Return the members as the node sees them: names and statuses."""
        return [(member.name, str(member.status)) for member in self._running().members()]

    def kill(self) -> None:
        """End the program like SIGKILL."""
        self._is_up = False
        self.host.kill()

    def pause(self) -> None:
        """Let the program stand still like SIGSTOP."""
        self.host.pause()

    def resume(self) -> None:
        """Let it go on like SIGCONT."""
        self.host.resume()

    async def leave(self) -> None:
        """Have the node leave in order, and wait for that."""
        assert self._leave is not None and self._program is not None  # noqa: S101, PT018
        self.host.loop.call_soon(self._leave.set)
        await self._program

    async def _live(self) -> None:
        self._leave = asyncio.Event()
        fabric = FabricOptions(transport=TRANSPORT, host=self.host.address, port=_PORT)
        given: dict[str, Any] = {"fabric": fabric, "processes": ProcessOptions(slow_handler_s=None)}
        async with start_cluster(
            cluster="static", cookie="simulated", name=self.name, peers=self._peers, **(given | self._options)
        ) as cluster:
            self._cluster, self._is_up = cluster, True
            await self._leave.wait()
            self._is_up = False

    def _running(self) -> Cluster:
        if self._cluster is None or not self._is_up:
            message = f"{self.name} does not run"
            raise SimulationError(message)
        return self._cluster


class SimulatedCluster:
    """Nodes ``node-1``, ``node-2`` and so on; each knows the address of the first ones."""

    def __init__(self, simulation: Simulation, nodes: int, **options: Any) -> None:  # noqa: ANN401 - of start_cluster()
        """``options`` are those of :func:`foundation.start_cluster`, for every node."""
        self.simulation = simulation
        hosts = [simulation.host(f"node-{number}") for number in range(1, nodes + 1)]
        seeds = tuple(f"{host.address}:{_PORT}" for host in hosts[:3])
        self.nodes = [SimulatedNode(host, seeds, options) for host in hosts]

    def start(self) -> None:
        """Start all nodes at once."""
        for node in self.nodes:
            node.start()

    async def until_agreed(self, timeout_s: float = 60.0) -> None:
        """Wait until all nodes that run see the same members, all of them up."""
        deadline = self.simulation.now + timeout_s
        while (problem := self.disagreement()) is not None:
            if self.simulation.now > deadline:
                message = f"no agreement after {timeout_s} s: {problem}"
                raise SimulationError(message)
            await asyncio.sleep(_LOOK_S)

    def disagreement(self) -> str | None:
        """Say where views differ; None when all agree."""
        alive = [node for node in self.nodes if node.is_up]
        wanted = sorted((node.name, str(MemberStatus.UP)) for node in alive)
        for node in alive:
            seen = sorted(node.members())
            if seen != wanted:
                missing, surplus = sorted(set(wanted) - set(seen)), sorted(set(seen) - set(wanted))
                return f"{node.name} misses {missing} and has {surplus}"
        return None if alive else "nobody runs"
