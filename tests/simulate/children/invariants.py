"""What must hold of distributed children, whatever happens to the nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import foundation
from foundation.cluster import Cluster
from foundation.core.identity import ProcessId
from foundation.errors import FoundationError
from foundation.testing import SimulatedCluster, SimulatedNode
from foundation.testing.schedules import Check, QuietCheck
from tests.simulate.children.book import Book, Done
from tests.simulate.children.operations import NAMES
from tests.simulate.children.worker import Worker
from tests.simulate.operations import host_of

_SETTLE_S = 45.0
"""Longer than the longest pause between two attempts to start a child somewhere."""
_PROBE_S = 15.0
_MEET_S = 1.0
"""How long nodes take at most to meet where nothing hinders them."""


class ChildInvariants:
    """The checks of one run; ``is_whole`` is for one whose nodes can always reach each other."""

    def __init__(self, book: Book, *, is_whole: bool) -> None:
        self._book = book
        book.is_whole = is_whole
        self._since: dict[str, float] = {}
        """When each node was first seen to run."""

    def always(self) -> Mapping[str, Check]:
        return {"runs_at_most_once": self.runs_at_most_once}

    def after_quiet(self) -> Mapping[str, QuietCheck]:
        return {
            "runs_exactly_once": self.runs_exactly_once,
            "terminated_stays": self.terminated_stays,
            "owner_is_agreed": self.owner_is_agreed,
            "child_answers": self.child_answers,
            "round_is_over": self.round_is_over,
        }

    # --- always ----------------------------------------------------------------------------------------------

    def runs_at_most_once(self, cluster: SimulatedCluster) -> None:
        """While all nodes reach each other no child has two processes, save while it is handed over."""
        found: dict[str, list[ProcessId]] = {}
        for node in _live(cluster):
            for name, process_id in _active(node.cluster):
                found.setdefault(name, []).append(process_id)
                self._note(node.cluster, name, process_id)
        self._look_whether_whole(cluster)
        twice = {name: some for name, some in found.items() if len(some) > 1}
        assert not (twice and self._book.is_whole), f"more than one process: {twice}"

    def _look_whether_whole(self, cluster: SimulatedCluster) -> None:
        now = cluster.simulation.now
        live = {node.node_id: node for node in _live(cluster)}
        self._book.live = len(live)
        self._since = {node: self._since.get(node, now) for node in live}
        old = {node for node, since in self._since.items() if now - since > _MEET_S}
        if any(not old <= {member for member, _, _ in live[node].view()} for node in old):
            self._book.is_whole = False

    def _note(self, there: Cluster, name: str, process_id: ProcessId) -> None:
        row = _parts(there).names.held_child(name)
        if row is not None and row.serial == process_id.serial and process_id in self._book.begun:
            self._book.ran.add((name, row.life))

    # --- after a quiet phase ---------------------------------------------------------------------------------

    async def runs_exactly_once(self, cluster: SimulatedCluster) -> None:
        """Each child that somebody who lives knows to be alive has one process; no child has two."""
        await _settled(cluster, self._wrong_count)

    async def terminated_stays(self, cluster: SimulatedCluster) -> None:
        """No child runs of which somebody who lives knows that it was terminated."""
        await _settled(cluster, self._risen)

    async def owner_is_agreed(self, cluster: SimulatedCluster) -> None:
        """All nodes find the one process of each child under its name, and nothing where there is none."""
        await _settled(cluster, self._disagreed)

    async def child_answers(self, cluster: SimulatedCluster) -> None:
        """Each node calls each child, and is answered."""
        running = {name for node in _live(cluster) for name, _ in _active(node.cluster)}

        async def probe(there: Cluster, name: str) -> str:
            try:
                await foundation.options(there.ref(Worker, name), timeout_s=_PROBE_S).where()
            except FoundationError as error:
                return f"{there.name} calls {name}: {type(error).__name__}: {error}"
            return ""

        async def probe_all(there: Cluster) -> list[str]:
            return await asyncio.gather(*[probe(there, name) for name in sorted(running)])

        for found in await asyncio.gather(*[node.run(probe_all) for node in _live(cluster)]):
            assert not any(found), "; ".join(filter(None, found))

    async def round_is_over(self, _cluster: SimulatedCluster) -> None:
        """Begin a new page of the book."""
        self._book.done.clear()

    # --- inside ----------------------------------------------------------------------------------------------

    def _wrong_count(self, cluster: SimulatedCluster) -> str:
        places = _places(cluster)
        for name in NAMES:
            there = places.get(name, [])
            if len(there) > 1:
                return f"{name} runs {len(there)} times: {there}"
            if not there and (why := self._why_it_runs(cluster, name)):
                return f"{name} does not run, though {why}"
        return ""

    def _why_it_runs(self, cluster: SimulatedCluster, name: str) -> str:
        live = [node.node_id for node in _live(cluster)]
        known = self._book.known(name, live)
        if some := [life for life in sorted(known.lives) if (name, life) in self._book.ran]:
            return f"it did in life {some[0]}, and nobody has heard of its end"
        done = self._book.done.get(name, [])
        ends = [one for one in done if one.kind == "terminate"]
        told = [one for one in done if one.kind == "start" and one.is_certain and one.node in live]
        if not self._book.is_whole:
            sure = [one for one in told if one.life > known.over]
            return f"{sure[0].node[:6]} was told so of life {sure[0].life}, which nobody has ended" if sure else ""
        sure = [one for one in told if not any(_may_follow(end, one) for end in ends)]
        return f"{sure[0].node[:6]} was told so, and nobody has ended it later" if sure else ""

    def _risen(self, cluster: SimulatedCluster) -> str:
        live = [node.node_id for node in _live(cluster)]
        for name, there in _places(cluster).items():
            over = self._book.known(name, live).over
            for node in _live(cluster):
                row = _parts(node.cluster).names.held_child(name)
                if row is not None and row.life <= over:
                    return f"{name} runs at {node.name} in life {row.life}, though all up to {over} are over"
            if self._book.is_whole and (end := self._certain_end(name, live)) is not None:
                return f"{name} runs at {there}, though {end.node[:6]} was told of its end"
        return ""

    def _certain_end(self, name: str, live: list[str]) -> Done | None:
        done = self._book.done.get(name, [])
        starts = [one for one in done if one.kind == "start"]
        ends = [one for one in done if one.kind == "terminate" and one.is_certain and one.node in live]
        return next((end for end in ends if not any(_may_follow(start, end) for start in starts)), None)

    def _disagreed(self, cluster: SimulatedCluster) -> str:
        places = _places(cluster)
        for name in NAMES:
            wanted = places[name][0] if name in places else None
            for node in _live(cluster):
                found = node.cluster.whereis(name)
                if found != wanted:
                    return f"{node.name} finds {name} at {found}; it runs at {wanted}"
        return ""


def _may_follow(one: Done, other: Done) -> bool:
    """Tell whether the effect of one may come after that of another."""
    return one.ended_at > other.began_at or not one.is_certain


def _live(cluster: SimulatedCluster) -> list[SimulatedNode]:
    return [node for node in cluster.nodes if node.runs]


def _parts(there: Cluster) -> Any:
    return there._parts


def _active(there: Cluster) -> Iterator[tuple[str, ProcessId]]:
    """Return the processes of children that take messages, or will, save those that are on their way elsewhere."""
    runs = _parts(there).distribution._runner._runs
    for running in host_of(there)._running.values():
        name = running.name
        is_handed_over = name in runs and runs[name].is_handed_over
        if running.binding.cls is Worker and not running.mailbox.closed and not is_handed_over:
            yield name, running.process_id


def _places(cluster: SimulatedCluster) -> dict[str, list[ProcessId]]:
    found: dict[str, list[ProcessId]] = {}
    for node in _live(cluster):
        for name, process_id in _active(node.cluster):
            found.setdefault(name, []).append(process_id)
    return found


async def _settled(cluster: SimulatedCluster, look: Any) -> None:
    """Wait until nothing is wrong any more."""
    deadline = cluster.simulation.now + _SETTLE_S
    while wrong := look(cluster):
        assert cluster.simulation.now < deadline, wrong
        await asyncio.sleep(0.5)
