"""Distributed children, as users see them: start them, look at them, move them, end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, TypeVarTuple, overload

from foundation.core.identity import NodeId
from foundation.core.sources import chance
from foundation.distribution.desk import desk_of
from foundation.distribution.distribution import Distribution
from foundation.distribution.every_node import EveryNode, name_at
from foundation.distribution.messages import ChildReport, Order, Outcome
from foundation.distribution.plan import Placement, Plan, check_placement, encode_plan
from foundation.distribution.shards import Key, count_in, numbered, shard_of
from foundation.errors import (
    ArgumentError,
    CallError,
    ChildStartError,
    NameTakenError,
    NodeDown,
    NoEligibleNodeError,
    NoSuchNameError,
    NotDelivered,
    SpecConflict,
)
from foundation.processes import Host, Restart, Spec, as_process_class, described, name_of, options, wire_name_of
from foundation.registry import NAMES, Names

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_SIBLINGS = 100_000


class Children:
    """The distributed children of the cluster; ``cluster.children``."""

    def __init__(self, distribution: Distribution, host: Host, names: Names) -> None:
        self._distribution = distribution
        self._host = host
        self._names = names

    @overload
    async def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str | None = None,
        instances: None = None,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> T: ...
    @overload
    async def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str,
        instances: int | Literal["every_node"],
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> list[T]: ...
    async def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str | None = None,
        instances: int | Literal["every_node"] | None = None,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> T | list[T]:
        """Have a process run somewhere in the cluster, and again somewhere else when its node goes.

        Returns a reference by name, which follows it. When a child of that name runs already, started with the same
        class, arguments and options, that is the one: every node may run the same script. ``restart`` says after which
        ends it is started again on its node, as for :func:`foundation.child`; stopped with ``stop_process`` it is gone
        for good.

        ``instances`` starts several and returns their references: a number those called ``name/0``, ``name/1`` ...;
        ``"every_node"`` one on each node that can run it, called ``name@node``, also on those that join later. Those
        stay where they are and end with their node; :meth:`stop` with ``name`` ends them all. Where one could not start
        it is tried again, and this raises an :class:`ExceptionGroup`.

        Raises :class:`SpecConflict` when another child has the name, :class:`NameTakenError` when a process that is no
        child has it, :class:`NoEligibleNodeError`, :class:`ChildStartError` when the constructor or ``started`` raises,
        :class:`CallTimeout`.
        """
        wanted: Spec[T] = described(cls, args)
        chosen = name or f"{wire_name_of(as_process_class(wanted.cls))}/{chance().getrandbits(64):016x}"
        if instances == "every_node":
            return await self._start_everywhere(chosen, wanted, restart, placement or Placement())
        if instances is not None:
            return await self._start_numbered(chosen, instances, wanted, restart, placement)
        started = await self.start_all({chosen: wanted}, restart=restart, placement=placement)
        return started[chosen]

    async def start_shards(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str,
        shards: int,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> list[T]:
        """Start so many children that share the keys of something; :meth:`shard` finds the one for a key.

        The same as ``start(..., instances=shards)``. Their number stays: with another one this is a SpecConflict.
        """
        wanted: Spec[T] = described(cls, args)
        return await self._start_numbered(name, shards, wanted, restart, placement)

    def shard(self, cls: Callable[..., T], name: str, key: Key) -> T:
        """Return a reference to that of the children ``name/0``, ``name/1`` ... which is responsible for a key.

        The same one on every node. Looks at what this node has heard, and raises :class:`NoSuchNameError` when there
        are none.
        """
        count = self._count(name)
        if not count:
            message = f"nobody has started shards that are named {name!r}"
            raise NoSuchNameError(message)
        found: T = self._host.ref(cls, f"{name}/{shard_of(key, count)}")
        return found

    async def start_all(
        self, wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
    ) -> dict[str, T]:
        """Start many at once, by their names; much quicker than one after the other.

        Raises what :meth:`start` raises for the only one, and an :class:`ExceptionGroup` of that when more were wanted;
        the others run then all the same.
        """
        orders = [self._order(name, spec, restart, placement or Placement()) for name, spec in wanted.items()]
        await self._start(orders)
        return {name: self._host.ref(spec.cls, name) for name, spec in wanted.items()}

    async def _start(self, orders: Sequence[Order]) -> None:
        outcomes = await self._distribution.start(list(orders))
        errors = [
            error
            for order, outcome in zip(orders, outcomes, strict=True)
            if (error := _error(order.name, outcome)) is not None
        ]
        if errors and len(orders) == 1:
            raise errors[0]
        if errors:
            message = f"{len(errors)} of {len(orders)} children did not start"
            raise ExceptionGroup(message, errors)

    async def _start_numbered(
        self, name: str, count: int, wanted: Spec[T], restart: Restart, placement: Placement | None
    ) -> list[T]:
        if not 0 < count <= _MOST_SIBLINGS:
            message = f"there can be 1 to {_MOST_SIBLINGS:,} children of one name, not {count!r}"
            raise ArgumentError(message)
        names = numbered(name, count)
        orders = [self._order(one, wanted, restart, placement or Placement(), count) for one in names]
        await self._start(orders[:1])  # it says how many there are: another number must start none of the others
        await self._start(orders[1:])
        await self._names.await_name(names[0], self._distribution.options.start_timeout_s)  # so that `shard` finds it
        return [self._host.ref(wanted.cls, one) for one in names]

    async def _start_everywhere(self, name: str, wanted: Spec[T], restart: Restart, placement: Placement) -> list[T]:
        its = self._order(name, wanted, restart, placement)
        stands_for_all: Spec[EveryNode] = described(EveryNode, (its.wire_name, its.plan))
        await self._start([self._order(name, stands_for_all, "permanent", Placement())])
        members = self._distribution.eligible(its.wire_name, placement)
        outcomes = await asyncio.gather(*(self._first_start(member.node_id, name) for member in members))
        started = [name_at(name, member.name) for member, it in zip(members, outcomes, strict=True) if it is not None]
        errors = [error for one, it in zip(started, filter(None, outcomes), strict=True) if (error := _error(one, it))]
        if errors:
            message = f"{len(errors)} of {len(started)} did not start at once, and are tried again"
            raise ExceptionGroup(message, errors)
        return [self._host.ref(wanted.cls, one) for one in started]

    async def _first_start(self, node: NodeId, name: str) -> Outcome | None:
        """Return what became of the process on a node; None when the node has gone meanwhile."""
        limit_s = self._distribution.options.start_timeout_s
        if node == self._host.node_id:
            return await self._distribution.first_start(name)
        try:
            return await options(desk_of(self._host, node), timeout_s=limit_s).first_start(name)
        except (NodeDown, NotDelivered):
            return None

    def is_child(self, reference: object) -> str | None:
        """Return the name of a child, if that is what a reference stands for."""
        name = name_of(reference)
        return name if name is not None and self._names.is_followed(name) else None

    async def stop(self, name: str) -> None:
        """End a child for good, wherever it is, and if it has no process; raises NoSuchNameError, CallTimeout.

        The name that several share, ``name/0``, ``name/1`` ..., stands for all of them.
        """
        if not self._count(name) or self._names.is_followed(name):
            await self._distribution.stop_child(name)
            return
        left = [one for one in numbered(name, self._count(name)) if self._names.is_followed(one)]
        outcomes = await asyncio.gather(*map(self._distribution.stop_child, left), return_exceptions=True)
        errors = [error for error in outcomes if isinstance(error, Exception)]
        if errors:
            message = f"{len(errors)} of {len(left)} children could not be ended"
            raise ExceptionGroup(message, errors)

    async def migrate(self, reference: object, node: NodeId, *, at: NodeId | None = None) -> None:
        """Move a child to another node, with the state that its ``snapshot`` gives and its ``restore`` takes there.

        Calls wait and follow; none is lost or run twice. ``at`` is the node where the child is: an observer, which
        knows no names, has to say so. Raises :class:`NoSuchNameError` when that is no child,
        :class:`ChildStartError` when it could not begin there: then it goes on where it was.
        """
        name = reference if isinstance(reference, str) else name_of(reference)
        if name is None:
            message = f"expected a reference to a distributed child, or its name, got {reference!r}"
            raise ArgumentError(message)
        if at is None or at == self._host.node_id:
            outcome = await self._distribution.move_to(name, node)
        else:
            limit_s = self._distribution.options.start_timeout_s
            outcome = await options(desk_of(self._host, at), timeout_s=limit_s).migrate(name, node)
        if outcome.result not in {"started", "exists"}:
            message = f"child {name!r} was not moved: {outcome.text}"
            raise ChildStartError(message, outcome.error_type)

    async def drain(self, node: NodeId) -> int:
        """Have a node hand over its children and take no more; return how many it could not hand over."""
        if node == self._host.node_id:
            return await self._distribution.drain()
        limits = self._distribution.options
        limit_s = limits.leave_timeout_s + limits.start_timeout_s
        return await options(desk_of(self._host, node), timeout_s=limit_s).drain()

    async def undrain(self, node: NodeId) -> None:
        """Have a node take children again that was drained, and do nothing to another one.

        Those that it handed over stay where they are. Raises :class:`NotRunningError` when the node leaves.
        """
        if node == self._host.node_id:
            await self._distribution.undrain()
        else:
            await options(desk_of(self._host, node), timeout_s=self._distribution.options.start_timeout_s).undrain()

    async def holder(self, name: str) -> NodeId | None:
        """Ask all members which of them has a child, with or without a process; None when nobody says so.

        For observers: a member knows it, see :meth:`foundation.Cluster.whereis`.
        """
        nodes = self._distribution.everybody()
        answers = await asyncio.gather(*(self._holds(node, name) for node in nodes))
        return next((node for node, has_it in zip(nodes, answers, strict=True) if has_it), None)

    async def on(self, node: NodeId, most: int = 1_000) -> list[ChildReport]:
        """Ask a node which children it holds, and which it is to find a place for, and why.

        At most so many: first those that do not run, then those of which there is one on every node.
        """
        if node == self._host.node_id:
            return self._distribution.reports(most)
        return await desk_of(self._host, node).reports(most)

    def _count(self, name: str) -> int:
        """Return how many children share a name; 0 when it is nobody's, or one alone has it."""
        best = self._names.children.best(f"{NAMES}{name}/0")
        return 0 if best is None or best[1].plan is None else count_in(best[1].plan)

    async def _holds(self, node: NodeId, name: str) -> bool:
        if node == self._host.node_id:
            return self._distribution.holds(name)
        try:
            return await desk_of(self._host, node).holds(name)
        except CallError:
            return False

    def _order(self, name: str, wanted: Spec[Any], restart: Restart, placement: Placement, siblings: int = 0) -> Order:
        check_placement(placement)
        cls = as_process_class(wanted.cls)
        arguments, keywords = self._host.binding(cls).constructor.encode(wanted.args, wanted.kwargs)
        by_name = {key: bytes(value) for key, value in (keywords or {}).items()} or None
        plan = Plan(arguments, by_name, restart, placement=placement, siblings=siblings)
        return Order(name, wire_name_of(cls), encode_plan(plan), asker=self._host.node_id)


def _error(name: str, outcome: Outcome) -> Exception | None:
    match outcome.result:
        case "started" | "exists":
            return None
        case "conflict":
            return SpecConflict(f"another child is named {name!r}: its class, arguments or options differ")
        case "taken":
            return NameTakenError(f"child {name!r} cannot start: {outcome.text}")
        case "nowhere":
            return NoEligibleNodeError(f"no member can run child {name!r}: {outcome.text}")
        case _:
            what = outcome.error_type.rpartition(":")[2]
            return ChildStartError(f"child {name!r} did not start: {what} {outcome.text}", outcome.error_type)
