"""What pytest finds when Foundation is installed: fixtures that make real clusters, and their logs in failures.

It needs no plugin for asyncio, and works with each: the fixtures are plain functions, the clusters are entered by the
test.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest

from foundation.testing.real import HostCluster, ProcessCluster

C = TypeVar("C", bound=ProcessCluster)

_clusters: pytest.StashKey[list[ProcessCluster]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "foundation(**arguments): what process_cluster() and host_cluster() make when they are not told otherwise, "
        'for example foundation(nodes=3, membership={"down_after_s": 2})',
    )


@pytest.fixture
def process_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., ProcessCluster]]:
    """Make clusters of OS processes, which the test enters: ``async with`` what this fixture returns when called.

    Takes what :class:`foundation.testing.ProcessCluster` takes, and what it is not given from the marker
    ``foundation``. When the test fails, its report shows what the nodes printed.
    """
    yield from _factory(request, ProcessCluster)


@pytest.fixture
def host_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., HostCluster]]:
    """Make clusters whose network can be cut, as :func:`process_cluster`; skip the test where that cannot be."""
    if (why := HostCluster.why_not()) is not None:
        pytest.skip(why)
    yield from _factory(request, HostCluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the nodes to the report of a test that fails."""
    report = yield
    if report.failed:
        nothing: list[ProcessCluster] = []
        made = item.stash.get(_clusters, nothing)
        for number, cluster in enumerate(made, start=1):
            report.sections.append((f"nodes of cluster {number}", cluster.logs()))
    return report


def _factory(request: pytest.FixtureRequest, kind: type[C]) -> Iterator[Callable[..., C]]:
    """Give a function that makes clusters; end what is left of them afterwards."""
    made = request.node.stash.setdefault(_clusters, [])
    marker = request.node.get_closest_marker("foundation")
    defaults: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}

    def make(**arguments: Any) -> C:  # noqa: ANN401 - what the class takes
        cluster = kind(**(defaults | arguments))
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.end_now()
