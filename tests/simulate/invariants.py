"""What must hold of the library, whatever happens to its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import foundation
from foundation.cluster import Cluster
from foundation.errors import FoundationError
from foundation.testing import SimulatedCluster, SimulatedNode
from foundation.testing.schedules import Check, QuietCheck
from tests.simulate.connections import Connections
from tests.simulate.desk import Desk
from tests.simulate.ledger import PROBE, CallRecord, Lane, Ledger
from tests.simulate.operations import host_of, reference

LATE_S = 0.25
"""How late a call may end: deadlines are kept in buckets, and its task must have its turn."""

_RESUMED_S = 1.0
_PROBE_S = 15.0
_SETTLE_S = 10.0
_SURELY_NOT = {"NotDelivered", "Overloaded", "NoSuchProcessError", "DeadlockError"}
_START_S = 1000.0
_TASKS = 20
"""Tasks of a node on which nothing goes on: those of its parts, its agent, and what simulates it."""


class Invariants:
    """The checks of one run."""

    def __init__(self, ledger: Ledger, connections: Connections) -> None:
        self._ledger = ledger
        self._connections = connections

    def always(self) -> Mapping[str, Check]:
        return {
            "member_once": self.member_once,
            "event_order": lambda _: self._noticed("event_order"),
            "left_is_told": lambda _: self._noticed("left_is_told"),
            "down_is_true": lambda _: self._noticed("down_is_true"),
            "calls_end_in_time": self.calls_end_in_time,
            "executed_once": self.executed_once,
            "casts_in_order": self.casts_in_order,
            "surely_not_executed": self.surely_not_executed,
        }

    def after_quiet(self) -> Mapping[str, QuietCheck]:
        return {
            "everybody_answers": self.everybody_answers,
            "casts_arrive": self.casts_arrive,
            "nothing_leaks": self.nothing_leaks,
        }

    # --- always ----------------------------------------------------------------------------------------------

    def member_once(self, cluster: SimulatedCluster) -> None:
        """Nobody is listed twice."""
        self._connections.look(cluster)
        for node in cluster.nodes:
            if node.runs:
                seen = [member for member, _, _ in node.view()]
                twice = sorted({member[:6] for member in seen if seen.count(member) > 1})
                assert not twice, f"{node.name} lists {', '.join(twice)} more than once"

    def _noticed(self, invariant: str) -> None:
        assert invariant not in self._ledger.wrong, self._ledger.wrong[invariant]

    def calls_end_in_time(self, cluster: SimulatedCluster) -> None:
        """No call hangs beyond its deadline, as long as its node lives and is not paused."""
        now = cluster.simulation.now + _START_S
        present = {node.node_id for node in cluster.nodes if node.runs and not node.is_paused}
        for record in self._new_calls():
            paused_at = self._connections.paused_at.get(record.caller, -_START_S) + _START_S
            latest = max(record.deadline, paused_at + _RESUMED_S) + LATE_S
            if record.outcome:
                assert record.ended_at <= latest or record.outcome == "CancelledError", f"late: {record}"
            elif record.caller in present:
                assert now <= latest + LATE_S, f"hangs: {record}"

    def executed_once(self, _cluster: SimulatedCluster) -> None:
        """No call is handled twice, and none that has a result was not handled."""
        for record in self._new_calls():
            assert record.executed <= 1, str(record)
            assert record.outcome != "result" or record.executed, str(record)

    def surely_not_executed(self, _cluster: SimulatedCluster) -> None:
        """What was surely not handled was not, nor is it later."""
        for record in self._new_calls():
            assert record.outcome not in _SURELY_NOT or not record.executed, str(record)
        for lane, casts in self._ledger.casts.items():
            handled = casts.refused & set(casts.handled)
            assert not handled, f"{lane}: {sorted(handled)} were refused, and handled"

    def casts_in_order(self, _cluster: SimulatedCluster) -> None:
        """In each channel casts are handled at most once and in order."""
        for lane, casts in self._ledger.casts.items():
            for before, after in zip(casts.handled, casts.handled[1:], strict=False):
                assert before < after, f"{lane}: {after} came after {before}"

    # --- after a quiet phase ---------------------------------------------------------------------------------

    async def everybody_answers(self, cluster: SimulatedCluster) -> None:
        """Each node calls each other one, and is answered."""
        running = [node for node in cluster.nodes if node.runs]
        targets = {node.node_id: self._ledger.desks[node.node_id] for node in running}

        async def probe(there: Cluster, node_id: str) -> str:
            desk = foundation.options(reference(there, Desk, targets[node_id]), timeout_s=_PROBE_S)
            try:
                await desk.double(PROBE)
            except FoundationError as error:
                return f"{there.name} calls {node_id[:6]}: {type(error).__name__}: {error}"
            return ""

        async def probe_all(there: Cluster) -> list[str]:
            return await asyncio.gather(*[probe(there, node_id) for node_id in targets])

        for found in await asyncio.gather(*[node.run(probe_all) for node in running]):
            assert not any(found), "; ".join(filter(None, found))

    def casts_arrive(self, cluster: SimulatedCluster) -> None:
        """Nothing is lost between two nodes that both live and have never given each other up."""
        present = {node.node_id for node in cluster.nodes if node.runs}
        for lane, casts in self._ledger.casts.items():
            if {lane.sender, lane.receiver.node} <= present and not self._parted(lane):
                lost = sorted(set(casts.accepted) - set(casts.handled))
                assert not lost, f"{lane}: {lost} were lost of {casts.last}"

    async def nothing_leaks(self, cluster: SimulatedCluster) -> None:
        """No node keeps a call, a stream, a request, a packet or a task that nobody needs any more."""
        deadline = cluster.simulation.now + _SETTLE_S
        while left := "; ".join(filter(None, (self._kept(node, cluster) for node in cluster.nodes if node.runs))):
            assert cluster.simulation.now < deadline, left
            await asyncio.sleep(0.5)

    def _kept(self, node: SimulatedNode, cluster: SimulatedCluster) -> str:
        """Say what a node has that it should not have."""
        others = sum(other.runs for other in cluster.nodes) - 1
        most = {"peers": others, "dials": len(cluster.nodes) - others, "tasks": _TASKS + processes_of(node.cluster)}
        found = footprint(node.cluster, node.host.loop)
        wrong = {what: count for what, count in found.items() if count > most.get(what, 0)}
        tasks = f": {', '.join(sorted(task.get_name() for task in asyncio.all_tasks(node.host.loop)))}"
        return f"{node.name} keeps {wrong}{tasks if 'tasks' in wrong else ''}" if wrong else ""

    # --- inside ----------------------------------------------------------------------------------------------

    def _new_calls(self) -> list[CallRecord]:
        return list(self._ledger.calls.values())

    def _parted(self, lane: Lane) -> bool:
        one, other = lane.sender, lane.receiver.node
        return bool({(one, other), (other, one)} & self._ledger.parted)


def processes_of(cluster: Cluster) -> int:
    """Count the processes of a node."""
    return int(host_of(cluster).process_count)


def footprint(cluster: Cluster, loop: asyncio.AbstractEventLoop) -> dict[str, int]:
    """Count what a node holds that comes and goes with what it does."""
    parts: Any = cluster._parts
    host, peers = parts.host, parts.fabric.peers
    tasks = [task.get_name() for task in asyncio.all_tasks(loop)]
    dials = [name for name in tasks if name.startswith("dialer: dial ")]
    return {
        "calls": len(host.calls),
        "deadlines": len(host.calls._deadlines._buckets),
        "held": len(host.calls.holds.held),
        "requests": len(host._requests),
        "peers": len(peers._peers),
        "waiting bytes": sum(peer.waiting_bytes for peer in peers._peers.values()),
        "unacknowledged bytes": sum(peer.unacknowledged_bytes for peer in peers._peers.values()),
        "dials": len(dials),
        "tasks": len(tasks) - len(dials),
    }
