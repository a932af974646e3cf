"""The scenarios by which distributed children are tried."""

from __future__ import annotations

from functools import partial

from foundation.cluster import Cluster
from foundation.testing import SimulatedNode
from foundation.testing.schedules import Limits, Scenario
from tests.simulate.children.book import open_book
from tests.simulate.children.invariants import ChildInvariants
from tests.simulate.children.operations import Operations
from tests.simulate.connections import Connections
from tests.simulate.diagram import Witness
from tests.simulate.invariants import Invariants
from tests.simulate.ledger import open_ledger

_WHOLE = ("kill", "crash", "restart", "leave", "join")
_KEPT = {"member_once", "calls_end_in_time", "executed_once", "surely_not_executed", "nothing_leaks"}


def make_children(faults: tuple[str, ...] | None = None) -> Scenario:
    """Make what one run needs; without ``faults`` everything may happen."""
    ledger, book, connections = open_ledger(), open_book(), Connections()
    is_whole = faults is not None
    general, special = Invariants(ledger, connections), ChildInvariants(book, is_whole=is_whole)

    async def listen(there: Cluster) -> None:
        assert there._parts is not None
        me, replication = there.node.node_id, there._parts.replication
        replication.watch("n", partial(book.hear, me))
        for key, row in [pair for table in replication.replica.tables.values() for pair in table.values()]:
            book.hear_row(me, key, row)

    async def started(node: SimulatedNode) -> None:
        witness = Witness(node, ledger, connections)
        node.leave = partial(witness.leaving, SimulatedNode.leave)  # type: ignore[method-assign]
        await node.run(listen)

    return Scenario(
        operations=Operations(ledger, book).all(),
        always=dict(special.always()) | {name: check for name, check in general.always().items() if name in _KEPT},
        after_quiet=dict(special.after_quiet())
        | {name: check for name, check in general.after_quiet().items() if name in _KEPT},
        started=started,
        limits=Limits(faults=faults, steps=(8, 32), fault_share=0.25),
    )


def make_whole() -> Scenario:
    """Make a scenario in which nodes come and go, and all of them reach each other."""
    return make_children(_WHOLE)
