"""Real nodes, each on a host of its own as far as the network is concerned. Linux, and for root."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from foundation.testing.cluster import Side, TestNode
from foundation.testing.real.hosts import Hosts, why_no_hosts
from foundation.testing.real.process_cluster import ProcessCluster
from foundation.testing.real.process_node import ProcessNode

_PORT = 7400


class HostCluster(ProcessCluster):
    """A :class:`ProcessCluster` whose network can be cut: each node has a network namespace of its own.

    Takes the same arguments. :meth:`why_not` says whether it can run. Packets are let through or not, and slowed down;
    there is no verb for delay or loss of single packets.
    """

    def __init__(self, nodes: int = 3, modules: Iterable[str] = (), **options: Any) -> None:  # noqa: ANN401
        super().__init__(nodes, modules, **options)
        self._hosts = Hosts(nodes)

    @staticmethod
    def why_not() -> str | None:
        """Return why this machine cannot run it, as a sentence for a skipped test, or None when it can."""
        why = why_no_hosts()
        return None if why is None else f"HostCluster {why}"

    async def partition(self, a: Side, b: Side) -> None:
        """Let all packets between the two sides vanish."""
        await asyncio.to_thread(self._for_each_pair, self._hosts.cut, a, b)

    async def partition_oneway(self, a: Side, b: Side) -> None:
        """Let the packets from ``a`` to ``b`` vanish; those from ``b`` to ``a`` arrive."""
        await asyncio.to_thread(self._for_each_pair, self._hosts.cut_oneway, a, b)

    async def heal(self) -> None:
        """End all partitions; what a :meth:`rate` limits stays limited."""
        await asyncio.to_thread(self._hosts.heal_all)

    async def rate(self, node: TestNode, bytes_per_s: float | None) -> None:
        """Let a node send, and be sent, no more than so many bytes in a second; None lifts the limit."""
        await asyncio.to_thread(self._hosts.rate, self._host_of(node), bytes_per_s)

    def end_now(self) -> None:
        """Kill what still runs and remove the hosts, without an event loop."""
        super().end_now()
        self._hosts.remove()

    async def _prepare(self, stack: AsyncExitStack) -> None:
        stack.push_async_callback(asyncio.to_thread, self._hosts.remove)
        await asyncio.to_thread(self._hosts.make)
        await super()._prepare(stack)

    def _prefix(self, node: ProcessNode) -> Sequence[str]:
        return ("ip", "netns", "exec", self._hosts.namespace(self._host_of(node)))

    def _place(self, node: ProcessNode) -> Mapping[str, Any]:
        hosts = range(1, len(self.nodes) + 1)
        here = self._host_of(node)
        peers = [f"{self._hosts.address(host)}:{_PORT}" for host in hosts if host != here]
        return {"host": self._hosts.address(here), "port": _PORT, "peers": peers}

    def _for_each_pair(self, change: Callable[[int, int], None], a: Side, b: Side) -> None:
        for one in self._hosts_of(a):
            for other in self._hosts_of(b):
                change(one, other)

    def _hosts_of(self, side: Side) -> list[int]:
        nodes: Iterable[TestNode] = side if isinstance(side, Iterable) else (side,)
        return [self._host_of(node) for node in nodes]

    def _host_of(self, node: TestNode) -> int:
        return 1 + [each.name for each in self.nodes].index(node.name)
