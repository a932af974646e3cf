"""What Zenoh does sometimes, the simulated engine does for some seeds."""

from __future__ import annotations

from foundation.testing import SimulatedCluster, simulate
from tests.fabric import sessions_on_nodes as there
from tests.fabric.cut_contract import EVERYBODY, LEASE_S, far, linked, passes

TRANSPORT = "foundation.testing.simulation.engine:Transport"


def test_a_cut_of_nearly_a_lease_costs_the_link_or_not() -> None:
    """TCP may try again before the lease is over, or after."""

    async def scenario(cluster: SimulatedCluster) -> int:
        one, two = await linked(cluster, TRANSPORT)
        await cluster.partition(one.node, two.node)
        await passes(0.7 * LEASE_S)
        await cluster.heal()
        await passes(2 * LEASE_S)
        return len(await one.gone())

    assert {simulate(scenario, 2, seed=seed) for seed in range(10)} == {0, 1}


def test_a_message_may_overtake_the_news_of_a_token() -> None:
    """What is put after a token was declared is received before the token is seen, or after."""

    async def scenario(cluster: SimulatedCluster) -> str:
        one, two = [await far(node, TRANSPORT, LEASE_S) for node in cluster.nodes]
        await one.introduce(two)
        await two.sees(one)
        await one.node.run(there.declare, "presence/late")
        await one.put("a message")
        await two.got(1)
        await two.node.run(there.until_heard, "there", "presence/late", 1, 1.0)
        return next(key for _, _, key, _, _ in await two.node.run(there.heard) if key in {"presence/late", EVERYBODY})

    assert {simulate(scenario, 2, seed=seed) for seed in range(10)} == {"presence/late", EVERYBODY}
