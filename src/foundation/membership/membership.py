"""Take part in a cluster: tell others about this node, watch them, and say who is in.

The decisions are made in :mod:`foundation.membership.view`; this file carries them out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec

from foundation.core import sources
from foundation.core.clock import Clock
from foundation.core.events import EventSource
from foundation.core.identity import NodeId
from foundation.core.roster import Roster
from foundation.core.tasks import TaskScope
from foundation.errors import CodecError
from foundation.fabric import Fabric
from foundation.fabric.handshake import Acquaintance
from foundation.membership.dialer import Dialer
from foundation.membership.events import MemberDown, MemberEvent, MemberLeft, MemberUnreachable
from foundation.membership.member import Facts, Member, MemberStatus, decode_facts, encode_facts
from foundation.membership.options import MembershipOptions
from foundation.membership.view import IN_TOUCH, View

logger = logging.getLogger(__name__)


class Membership:
    """This node's part in the cluster, and its view of the others."""

    def __init__(
        self, fabric: Fabric, facts: Facts, options: MembershipOptions | None = None, clock: Clock | None = None
    ) -> None:
        self.events: EventSource[MemberEvent] = EventSource()
        self.watchers: list[Callable[[MemberEvent], None]] = []
        """Called for each event, at once and in order."""
        self.view_changed: Callable[[Roster], None] = lambda _roster: None
        """Called after that, when there is a change of who is up or leaving, and reached by anybody whom this node
        reaches; this node too. All nodes that reach each other, directly or through others, come to the same answer.

        It is always the same roster, which changes only before this is called.
        """
        self._roster = Roster()
        self.gone: Callable[[NodeId], None] = lambda _node: None
        self._fabric = fabric
        self._options = options or MembershipOptions()
        self._clock = clock or sources.clock()
        self._view = View(fabric.node_id, self._options)
        self._facts = facts
        self._dialer = Dialer(fabric, self._options, self._clock, self._dialed)
        self._tried: dict[NodeId, dict[str, bool]] = {}
        self._stack = AsyncExitStack()
        self._announced: Facts | None = None
        self._announcing: asyncio.TimerHandle | None = None
        self._is_open = False
        self._met = asyncio.Event()
        self._is_due = asyncio.Event()
        self._known: list[Acquaintance] | None = None

    async def __aenter__(self) -> Self:
        self._fabric.peers.admits = self._view.admits
        self._fabric.peers.addresses_of = self._addresses_of
        async with AsyncExitStack() as stack:
            stack.callback(self.events.end)
            await stack.enter_async_context(self._dialer)
            tasks = await stack.enter_async_context(TaskScope("membership"))
            self.describe(addresses=self._fabric.addresses)
            self._is_open = True
            tasks.keep_running(self._tick, "tick")
            stack.callback(self._let_go)
            self._fabric.presence_changed = self._presence_changed
            self._fabric.stuck_changed = self._stuck_changed
            self._fabric.acquaintances = self._acquaintances
            for node, data in self._fabric.facts().items():  # who came while nobody listened
                self._presence_changed(node, data)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _acquaintances(self) -> Sequence[Acquaintance]:
        if self._known is None:
            members = self._view.members()
            self._known = [Acquaintance(member.node_id, member.addresses) for member in members if member.addresses]
        return self._known

    def _addresses_of(self, node: NodeId) -> tuple[str, ...]:
        member = self._view.member(node)
        return member.addresses if member else ()

    def _let_go(self) -> None:
        self._is_open = False
        if self._announcing is not None:
            self._announcing.cancel()
        self._fabric.presence_changed = lambda _node, _facts: None
        self._fabric.stuck_changed = lambda _node, _is_stuck: None
        self._fabric.acquaintances = tuple

    @property
    def me(self) -> Member:
        """This node, as it describes itself."""
        return Member.from_facts(self._fabric.node_id, self._facts)

    def members(self) -> list[Member]:
        """Return everybody who is in: this node first (unless it only observes), then the others by name."""
        mine = [] if self._facts.observer else [self.me]
        return mine + self._view.members()

    def out_of_reach(self) -> list[Member]:
        """Return the members that this node, or one that it has met, cannot reach; some it may never have met."""
        return self._view.out_of_reach()

    def member(self, node: NodeId) -> Member | None:
        """Return one member, or None when it is not known or gone."""
        return self.me if node == self._fabric.node_id else self._view.member(node)

    def seek(self, addresses: Iterable[str], node: NodeId | None) -> None:
        """Try to meet who may live at these addresses."""
        self._dialer.want(addresses, node)

    async def met_somebody(self) -> None:
        """Wait until this node has met any other one."""
        await self._met.wait()

    async def settle(self, timeout_s: float) -> None:
        """Wait until all addresses known so far were tried once, or the time is over."""
        await self._dialer.settle(timeout_s)

    def describe(self, **changes: Any) -> None:  # noqa: ANN401 - any field of Facts
        """Change what this node says about itself and tell the others."""
        self._facts = msgspec.structs.replace(self._facts, **changes)
        self._announce()
        self._look_who_is_in_touch()

    def _look_who_is_in_touch(self) -> None:
        roster, before = self._roster, self._roster.number
        self._view.tell_in_touch(roster)
        if self._facts.status in IN_TOUCH and not self._facts.observer:
            is_leaving = self._facts.status is MemberStatus.LEAVING
            roster.put(self._fabric.node_id, self._view.incarnation, is_leaving=is_leaving)
        else:
            roster.drop(self._fabric.node_id)
        if roster.number != before:
            self.view_changed(roster)

    def become(self, status: MemberStatus) -> None:
        """Enter the next station: up, or leaving."""
        self.describe(status=status)

    def _announce_soon(self) -> None:
        """Tell what has changed once the burst is over: a cut takes many members at once, and each is one opinion."""
        if self._announcing is None and self._is_open and self._view.opinions_changed():
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_later(self._options.announce_after_s, self._announce)

    def _announce(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        self._fabric.peers.become(self._view.incarnation)
        facts = msgspec.structs.replace(
            self._facts,
            incarnation=self._view.incarnation,
            unreachable=self._view.suspicions(),
            gone=self._view.farewells(),
        )
        if facts != self._announced:
            self._fabric.announce(encode_facts(facts))
            self._announced = facts
            self._facts = facts

    def _presence_changed(self, node: NodeId, data: bytes | None) -> None:
        now = self._clock.now()
        self._tried.pop(node, None)
        if data is None:
            if self._view.member(node) is None:  # an observer, or one that was not admitted
                self._part(node)
            self._carry_out(self._view.absent(node, now))
            return
        try:
            facts = decode_facts(data)
        except CodecError as error:
            logger.warning("node %s: %s", node[:8], error)
            return
        self._met.set()
        self._carry_out(self._view.present(node, facts, now))
        self._seek_unreachable()

    def _stuck_changed(self, node: NodeId, is_stuck: bool) -> None:
        self._carry_out(self._view.stuck(node, is_stuck=is_stuck))

    def _carry_out(self, events: list[MemberEvent]) -> None:
        if events:
            self._known = None
        for event in events:
            logger.info("%s", event)
            self.events.emit(event)
            for watcher in self.watchers:
                watcher(event)
            if isinstance(event, MemberUnreachable):
                self._seek(event.member)
            if isinstance(event, MemberDown | MemberLeft):
                self._part(event.member.node_id)
            if isinstance(event, MemberLeft):
                self._dialer.forget(event.member.node_id)
                self._is_due.set()
        self._look_who_is_in_touch()
        if self._view.out_of_reach():
            self._is_due.set()
        self._announce_soon()

    def _part(self, node: NodeId) -> None:
        self._tried.pop(node, None)
        self._fabric.forget(node)
        self.gone(node)

    def _seek_unreachable(self) -> None:
        """Try whom others cannot reach and this node has never met."""
        for member in self._view.out_of_reach():
            if member.node_id not in self._tried:
                self._seek(member)
        sought = {member.node_id for member in self._view.out_of_reach()}
        self._tried = {node: tried for node, tried in self._tried.items() if node in sought}

    def _seek(self, member: Member) -> None:
        self._tried[member.node_id] = {one: True for one in member.addresses if self._dialer.leads_back(one)}
        self._dialer.want(member.addresses, member.node_id, at_once=True)
        self._conclude(member)

    def _dialed(self, address: str, found: NodeId | None, refused: bool) -> None:
        """Note what came of a try; a process whose address belongs to another one now does not exist any more."""
        for member in self._view.out_of_reach():
            if address in member.addresses and found != member.node_id:
                self._tried.setdefault(member.node_id, {})[address] = refused or found is not None
                self._conclude(member)

    def _conclude(self, member: Member) -> None:
        tried = self._tried[member.node_id]
        if tried and tried.keys() >= set(member.addresses):
            self._carry_out(self._view.unreached(member.node_id, self._clock.now(), refused=all(tried.values())))

    async def _tick(self) -> None:
        while True:
            await self._until_due()
            self._carry_out(self._view.tick(self._clock.now()))

    async def _until_due(self) -> None:
        """Wait until the time decides something: a node that sees everybody need not look at the clock."""
        while not self._view.out_of_reach():
            self._is_due.clear()
            forgets_at = self._view.next_to_forget()
            try:
                async with asyncio.timeout(None if forgets_at is None else forgets_at - self._clock.now()):
                    await self._is_due.wait()
            except TimeoutError:
                return
        await asyncio.sleep(self._options.tick_s)
