"""Distributed children, as users see them: start them, look at them, move them, end them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, TypeVarTuple

from foundation.core.identity import NodeId
from foundation.core.sources import chance
from foundation.distribution.desk import desk_of
from foundation.distribution.distribution import Distribution
from foundation.distribution.messages import ChildReport, Order, Outcome
from foundation.distribution.plan import Placement, Plan, check_placement, encode_plan
from foundation.errors import ArgumentError, ChildStartError, NameTakenError, NoEligibleNodeError, SpecConflict
from foundation.processes import Host, Restart, Spec, as_process_class, described, name_of, wire_name_of
from foundation.registry import Names

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Children:
    """The distributed children of the cluster; ``cluster.children``."""

    def __init__(self, distribution: Distribution, host: Host, names: Names) -> None:
        self._distribution = distribution
        self._host = host
        self._names = names

    async def start(
        self,
        cls: Callable[[*Ts], T] | Spec[T],
        /,
        *args: *Ts,
        name: str | None = None,
        restart: Restart = "permanent",
        placement: Placement | None = None,
    ) -> T:
        """Have a process run somewhere in the cluster, and again somewhere else when its node goes.

        Returns a reference by name, which follows it. When a child of that name runs already, started with the same
        class, arguments and options, that is the one: every node may run the same script. ``restart`` says after which
        ends it is started again on its node, as for :func:`foundation.child`; stopped with ``stop_process`` it is gone
        for good.

        Raises :class:`SpecConflict` when another child has the name, :class:`NameTakenError` when a process that is no
        child has it, :class:`NoEligibleNodeError`, :class:`ChildStartError` when the constructor or ``started`` raises,
        :class:`CallTimeout`.
        """
        wanted = described(cls, args)
        chosen = name or f"{wire_name_of(as_process_class(wanted.cls))}/{chance().getrandbits(64):016x}"
        started = await self.start_all({chosen: wanted}, restart=restart, placement=placement)
        return started[chosen]

    async def start_all(
        self, wanted: Mapping[str, Spec[T]], *, restart: Restart = "permanent", placement: Placement | None = None
    ) -> dict[str, T]:
        """Start many at once, by their names; much quicker than one after the other.

        Raises what :meth:`start` raises for the only one, and an :class:`ExceptionGroup` of that when more were wanted;
        the others run then all the same.
        """
        orders = [self._order(name, spec, restart, placement or Placement()) for name, spec in wanted.items()]
        outcomes = await self._distribution.start(orders)
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
        return {name: self._host.ref(spec.cls, name) for name, spec in wanted.items()}

    def is_child(self, reference: object) -> str | None:
        """Return the name of a child, if that is what a reference stands for."""
        name = name_of(reference)
        return name if name is not None and self._names.is_followed(name) else None

    async def stop(self, name: str) -> None:
        """End a child for good, wherever it is, and if it has no process; raises NoSuchNameError, CallTimeout."""
        await self._distribution.stop_child(name)

    async def migrate(self, reference: object, node: NodeId) -> None:
        """Move a child to another node, with the state that its ``snapshot`` gives and its ``restore`` takes there.

        Calls wait and follow; none is lost or run twice. Raises :class:`NoSuchNameError` when that is no child,
        :class:`ChildStartError` when it could not begin there: then it goes on where it was.
        """
        name = reference if isinstance(reference, str) else name_of(reference)
        if name is None:
            message = f"expected a reference to a distributed child, or its name, got {reference!r}"
            raise ArgumentError(message)
        outcome = await self._distribution.move_to(name, node)
        if outcome.result not in {"started", "exists"}:
            message = f"child {name!r} was not moved: {outcome.text}"
            raise ChildStartError(message, outcome.error_type)

    async def drain(self, node: NodeId) -> int:
        """Have a node hand over its children and take no more; return how many it could not hand over."""
        if node == self._host.node_id:
            return await self._distribution.drain()
        return await desk_of(self._host, node).drain()

    async def on(self, node: NodeId) -> list[ChildReport]:
        """Ask a node which children it holds, and which it is to find a place for, and why."""
        if node == self._host.node_id:
            return self._distribution.reports()
        return await desk_of(self._host, node).reports()

    def _order(self, name: str, wanted: Spec[Any], restart: Restart, placement: Placement) -> Order:
        check_placement(placement)
        cls = as_process_class(wanted.cls)
        arguments, keywords = self._host.binding(cls).constructor.encode(wanted.args, wanted.kwargs)
        by_name = {key: bytes(value) for key, value in (keywords or {}).items()} or None
        plan = Plan(arguments, by_name, restart, placement=placement)
        return Order(name, wire_name_of(cls), encode_plan(plan))


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
