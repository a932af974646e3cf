"""The scenario by which the library is tried: its operations, and what must hold."""

from __future__ import annotations

from functools import partial

from foundation.cluster import Cluster
from foundation.testing import SimulatedNode
from foundation.testing.schedules import Scenario
from tests.simulate.connections import Connections
from tests.simulate.desk import Desk, Sleeper
from tests.simulate.diagram import Witness
from tests.simulate.invariants import Invariants
from tests.simulate.ledger import open_ledger
from tests.simulate.operations import Operations


def make_scenario() -> Scenario:
    """Make what one run needs."""
    ledger, connections = open_ledger(), Connections()
    invariants = Invariants(ledger, connections)

    async def open_office(cluster: Cluster) -> None:
        me = cluster.node.node_id
        ledger.sleepers[me] = (await cluster.start_process(Sleeper)).process_id
        ledger.desks[me] = (await cluster.start_process(Desk)).process_id

    async def started(node: SimulatedNode) -> None:
        witness = Witness(node, ledger, connections)
        node.leave = partial(witness.leaving, SimulatedNode.leave)  # type: ignore[method-assign]
        await node.run(open_office)

    return Scenario(
        operations=Operations(ledger).all(),
        always=invariants.always(),
        after_quiet=invariants.after_quiet(),
        started=started,
    )
