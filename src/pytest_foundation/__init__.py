"""What pytest finds when Foundation is installed: fixtures that make clusters, and what is known of them in failures.

It needs no plugin for asyncio, and works with each: the fixtures are plain functions, real clusters are entered by the
test. It is a package of its own, and imports Foundation in the fixtures, because pytest imports it in every run of
whoever has Foundation installed: so that costs a millisecond, and not the 0.15 s that Foundation takes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from foundation.testing import HostCluster, NetworkOptions, ProcessCluster, Simulation
    from foundation.testing.simulation import Scenario

    C = TypeVar("C", bound=ProcessCluster)
    T = TypeVar("T")

_LAST_LINES = 40
_OF_SIMULATIONS = frozenset({"network", "seed", "seeds"})
_OF_PROCESSES = frozenset({"log_level", "modules", "start_timeout_s"})

_clusters: pytest.StashKey[list[ProcessCluster]] = pytest.StashKey()
_simulations: pytest.StashKey[list[Simulation]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that repeats a simulated run."""
    group = parser.getgroup("foundation", "clusters of Foundation")
    group.addoption(
        "--foundation-seed",
        type=int,
        metavar="N",
        help="run simulated clusters with this seed alone; see PYTHONHASHSEED",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "foundation(**arguments): what simulate(), process_cluster() and host_cluster() take when they are not told "
        'otherwise, for example foundation(nodes=3, seeds=20, membership={"down_after_s": 2})',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each seed, where seeds are asked for."""
    if "simulate" in metafunc.fixturenames and (seeds := _seeds(metafunc.definition)):
        metafunc.parametrize("simulate", seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


@pytest.fixture
def simulate(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run scenarios in a simulated cluster: ``simulate(scenario)`` returns what the async function returns.

    Takes what :func:`foundation.testing.simulate` takes, and what it is not given from the marker ``foundation``. The
    seed is that of ``--foundation-seed``, else the marker's ``seed``, else 0; ``seeds=20`` in the marker makes twenty
    tests of one, each with a seed of its own. When the test fails, its report shows what has happened last, and how to
    repeat it.
    """
    from foundation.testing.simulation import Simulation, play  # noqa: PLC0415 - see above

    made = request.node.stash.setdefault(_simulations, [])
    defaults = _from_marker(request.node, _OF_PROCESSES | {"seeds"}) | {"seed": getattr(request, "param", 0)}

    def run(
        scenario: Scenario[T],
        *,
        nodes: int | None = None,
        seed: int | None = None,
        network: NetworkOptions | None = None,
        **options: Any,  # noqa: ANN401 - of SimulatedCluster
    ) -> T:
        given: dict[str, Any] = {"nodes": nodes, "seed": seed, "network": network}
        arguments: dict[str, Any] = (
            defaults | {key: value for key, value in given.items() if value is not None} | options
        )
        simulation = Simulation(arguments.pop("seed"), network=arguments.pop("network", None))
        made.append(simulation)
        return play(simulation, scenario, **arguments)

    return run


@pytest.fixture
def process_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., ProcessCluster]]:
    """Make clusters of OS processes, which the test enters: ``async with`` what this fixture returns when called.

    Takes what :class:`foundation.testing.ProcessCluster` takes, and what it is not given from the marker
    ``foundation``. When the test fails, its report shows what the nodes printed.
    """
    from foundation.testing import ProcessCluster  # noqa: PLC0415 - see above

    yield from _factory(request, ProcessCluster)


@pytest.fixture
def host_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., HostCluster]]:
    """Make clusters whose network can be cut, as :func:`process_cluster`; skip the test where that cannot be."""
    from foundation.testing import HostCluster  # noqa: PLC0415 - see above

    if (why := HostCluster.why_not()) is not None:
        pytest.skip(why)
    yield from _factory(request, HostCluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what is known of the clusters to the report of a test that fails."""
    report = yield
    if report.failed:
        no_clusters: list[ProcessCluster] = []
        no_simulations: list[Simulation] = []
        clusters, simulations = item.stash.get(_clusters, no_clusters), item.stash.get(_simulations, no_simulations)
        for number, cluster in enumerate(clusters, start=1):
            report.sections.append((f"nodes of cluster {number}", cluster.logs()))
        for simulation in simulations[-1:]:  # the failure is the last one's, or comes after it
            lines = str(simulation.transcript).splitlines()
            shown = [*lines[:1], *lines[1:][-_LAST_LINES:], _how_to_repeat(item, simulation.seed)]
            report.sections.append((f"simulation of seed {simulation.seed}", "\n".join(shown)))
    return report


def _how_to_repeat(item: pytest.Item, seed: int) -> str:
    return f"To repeat it: PYTHONHASHSEED=0 pytest {quote(item.nodeid)} --foundation-seed={seed}"


def _from_marker(node: pytest.Item, without: frozenset[str]) -> dict[str, Any]:
    marker = node.get_closest_marker("foundation")
    arguments = marker.kwargs if marker is not None else {}
    return {key: value for key, value in arguments.items() if key not in without}


def _seeds(node: pytest.Item) -> list[int]:
    wanted: int | None = node.config.getoption("--foundation-seed")
    if wanted is not None:
        return [wanted]
    arguments = _from_marker(node, frozenset())
    first = arguments.get("seed", 0)
    return list(range(first, first + arguments.get("seeds", 1))) if {"seed", "seeds"} & arguments.keys() else []


def _factory(request: pytest.FixtureRequest, kind: type[C]) -> Iterator[Callable[..., C]]:
    """Give a function that makes clusters; end what is left of them afterwards."""
    made = request.node.stash.setdefault(_clusters, [])
    defaults = _from_marker(request.node, _OF_SIMULATIONS)

    def make(**arguments: Any) -> C:  # noqa: ANN401 - what the class takes
        cluster = kind(**(defaults | arguments))
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.end_now()
