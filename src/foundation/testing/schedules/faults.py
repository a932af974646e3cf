"""What can happen to a simulated cluster, by the name that steps use for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from foundation.errors import FoundationError
from foundation.testing.errors import HostKilledError
from foundation.testing.schedules.steps import Step
from foundation.testing.simulation import SimulatedCluster, SimulatedNetwork, SimulatedNode

FAULTS = (
    "partition",
    "partition_oneway",
    "heal",
    "hold",
    "release",
    "delay",
    "drop",
    "kill",
    "crash",
    "restart",
    "pause",
    "leave",
    "join",
    "skew",
    "start",
)
"""All of them; ``start`` belongs to the quiet phase, ``pause`` lasts for its amount of seconds."""


class Faults:
    """Make faults happen. One that makes no sense at the moment, as to kill a node that does not run, is left out."""

    def __init__(self, cluster: SimulatedCluster, started: Callable[[SimulatedNode], Awaitable[None]]) -> None:
        self._cluster = cluster
        self._network = cluster.simulation.network
        self._started = started
        self._busy: set[str] = set()
        """Nodes that start or leave at the moment."""
        self._of_a_node: dict[str, Callable[[SimulatedNode, float], Awaitable[bool]]] = {
            "kill": self._kill,
            "crash": self._crash,
            "restart": self._restart,
            "pause": self._pause,
            "leave": self._leave,
            "join": self.start,
            "start": self.start,
            "skew": self._skew,
        }

    async def happen(self, step: Step) -> bool:
        """Carry a step out, which for a start or a leave takes time; False when it made no sense."""
        if step.action in _OF_THE_NETWORK:
            self._change_network(step)
            return True
        (number,) = step.groups[0]
        node = self._cluster.nodes[number]
        return node.name not in self._busy and await self._of_a_node[step.action](node, step.amount)

    def end_all(self) -> None:
        """Mend the network, and let everybody go on."""
        network = self._network
        names = [node.name for node in self._cluster.nodes]
        network.heal()
        network.delay(names, names, 0.0)
        network.drop(names, names, 0.0)
        network.release()
        for node in self._cluster.nodes:
            self._resume(node)

    async def start(self, node: SimulatedNode, _amount: float = 0.0) -> bool:
        """Start a node that does not run."""
        if node.condition not in {"not started", "ended"} or node.name in self._busy:
            return False
        self._busy.add(node.name)
        try:
            await node.start()
        except HostKilledError:
            return False
        finally:
            self._busy.discard(node.name)
        born = node.node_id
        try:
            await self._started(node)
        except FoundationError:
            if node.runs and node.node_id == born:
                raise
        return True

    def _change_network(self, step: Step) -> None:
        network = self._network
        sides = [[self._cluster.nodes[number].name for number in group] for group in step.groups]
        if step.action == "heal":
            network.heal()
        elif step.action == "release":
            network.release()
        for one, other in itertools.combinations(sides, 2):
            _BETWEEN[step.action](network, one, other, step.amount)

    async def _kill(self, node: SimulatedNode, _amount: float) -> bool:
        if node.runs:
            node.kill()
            return True
        return False

    async def _crash(self, node: SimulatedNode, _amount: float) -> bool:
        if node.runs:
            node.crash()
            return True
        return False

    async def _restart(self, node: SimulatedNode, _amount: float) -> bool:
        if node.runs:
            node.kill()
        return await self.start(node)

    async def _pause(self, node: SimulatedNode, seconds: float) -> bool:
        if not node.runs or node.is_paused:
            return False
        node.pause()
        await asyncio.sleep(seconds)
        self._resume(node)
        return True

    def _resume(self, node: SimulatedNode) -> None:
        if node.is_paused:
            node.resume()

    async def _leave(self, node: SimulatedNode, _amount: float) -> bool:
        others = [other for other in self._cluster.nodes if other.runs and other is not node]
        if not node.runs or node.is_paused or not others:
            return False
        self._busy.add(node.name)
        try:
            await node.leave()
        except HostKilledError:
            return False
        finally:
            self._busy.discard(node.name)
        return True

    async def _skew(self, node: SimulatedNode, seconds: float) -> bool:
        node.host.skew_s = seconds
        return True


_BETWEEN: dict[str, Callable[[SimulatedNetwork, list[str], list[str], float], None]] = {
    "partition": lambda network, one, other, _: network.partition(one, other),
    "partition_oneway": lambda network, one, other, _: network.partition_oneway(one, other),
    "hold": lambda network, one, other, _: network.hold(one, other),
    "delay": SimulatedNetwork.delay,
    "drop": SimulatedNetwork.drop,
}
_OF_THE_NETWORK = {*_BETWEEN, "heal", "release"}
