"""What every cluster under test can do, simulated or real: a scenario written against this runs on all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

import msgspec

from foundation.cluster import Cluster
from foundation.discovery import DiscoveryOptions
from foundation.fabric import FabricOptions
from foundation.membership import MembershipOptions
from foundation.processes import ProcessOptions
from foundation.registry import RegistryOptions
from foundation.replication import ReplicationOptions

P = ParamSpec("P")
T = TypeVar("T")


_SECTIONS: dict[str, type] = {
    "fabric": FabricOptions,
    "membership": MembershipOptions,
    "discovery": DiscoveryOptions,
    "processes": ProcessOptions,
    "replication": ReplicationOptions,
    "registry": RegistryOptions,
}


class Sighting(NamedTuple):
    """What a node said about another one, and when it was heard, by the clock of the test's event loop."""

    at: float
    name: str
    node_id: str
    status: str


class TestNode(Protocol):
    """One node of a cluster under test."""

    @property
    def name(self) -> str:
        """The name of the node; it keeps it when it is started again."""
        ...

    @property
    def node_id(self) -> str:
        """The id of the node that runs, or that ran last."""
        ...

    @property
    def sightings(self) -> Sequence[Sighting]:
        """What the node has said about others since it was started last, oldest first."""
        ...

    async def run(
        self, function: Callable[Concatenate[Cluster, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function of a module on the node, with the node's :class:`Cluster` as its first argument."""
        ...

    async def members(self) -> list[tuple[str, str]]:
        """Ask the node who is in: names and statuses, its own first."""
        ...

    async def until_sees(self, other: TestNode, status: str, timeout_s: float = ...) -> None:
        """Wait until the latest that this node has said about another one is that it has that status."""
        ...

    def kill(self) -> None:
        """End the node at once, without a word (crash)."""
        ...

    def pause(self) -> None:
        """Let the node stand still, as in a long pause of its machine."""
        ...

    def resume(self) -> None:
        """Let a paused node go on."""
        ...

    async def leave(self) -> None:
        """Let the node leave in order, and wait until it has ended."""
        ...

    async def start(self) -> None:
        """Start the node again: another one, with the same name, that remembers nothing."""
        ...


Side = TestNode | Iterable[TestNode]
"""One side of a cut: a node, or several."""


class TestCluster(Protocol):
    """Nodes, and what can happen between them."""

    @property
    def nodes(self) -> Sequence[TestNode]:
        """All nodes, whether they run or not."""
        ...

    async def partition(self, a: Side, b: Side) -> None:
        """Let all packets between the two sides vanish."""
        ...

    async def partition_oneway(self, a: Side, b: Side) -> None:
        """Let the packets from ``a`` to ``b`` vanish; those from ``b`` to ``a`` arrive."""
        ...

    async def delay(self, a: Side, b: Side, extra_s: float) -> None:
        """Let packets between the two sides take so many seconds more; 0 takes that back."""
        ...

    async def drop(self, a: Side, b: Side, rate: float) -> None:
        """Lose that part of the packets between the two sides, 0 to 0.99; 0 takes that back."""
        ...

    async def heal(self) -> None:
        """End all partitions; what is delayed or dropped stays so."""
        ...

    async def until_agreed(self, timeout_s: float = ...) -> None:
        """Wait until all nodes that run see each other as up, and nobody else."""
        ...


def options_from(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of :func:`foundation.start_cluster`; whole sections may be given as mappings."""
    return {
        key: msgspec.convert(msgspec.to_builtins(value), _SECTIONS[key]) if key in _SECTIONS else value
        for key, value in given.items()
    }


for _protocol in (TestNode, TestCluster):  # their names look to pytest like classes of tests
    setattr(_protocol, "__test__", False)  # noqa: B010 - in the class, it would be a part of the protocol
