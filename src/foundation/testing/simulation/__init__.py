"""A simulated cluster: many nodes in one program, with a virtual clock, a simulated network and a seed.

Code under test runs unchanged: it asks ``asyncio`` for time, tasks and TCP as always, and each host has an event loop
of its own::

    def test_anne_finds_bob_after_the_cut() -> None:
        sim = Simulation(seed=7)
        anne, bob = sim.host("anne"), sim.host("bob")

        async def story() -> None:
            serving = bob.run(serve, 7000)
            sim.network.partition(anne, bob)
            asking = anne.run(ask, bob.address, 7000)
            await asyncio.sleep(60)
            sim.network.heal()
            assert await asking == "here"
            serving.cancel()

        sim.run(story)

A run is repeated by its seed. For that, start Python with ``PYTHONHASHSEED=0``, and have code under test take time and
chance from :mod:`foundation.core.sources` or its event loop. What is not simulated (threads, subprocesses, signals,
real sockets) raises :class:`foundation.testing.errors.NotSimulatedError`.
"""

from foundation.testing.simulation.cluster import Scenario, SimulatedCluster, SimulatedNode, play, simulate
from foundation.testing.simulation.host import SimulatedHost, SimulatedTask
from foundation.testing.simulation.links import Latency, NetworkOptions
from foundation.testing.simulation.network import SimulatedNetwork
from foundation.testing.simulation.simulation import Simulation
from foundation.testing.simulation.transcript import Transcript

__all__ = [
    "Latency",
    "NetworkOptions",
    "Scenario",
    "SimulatedCluster",
    "SimulatedHost",
    "SimulatedNetwork",
    "SimulatedNode",
    "SimulatedTask",
    "Simulation",
    "Transcript",
    "play",
    "simulate",
]
