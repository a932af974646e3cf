"""What an orchestrator is told by a node, and how many nodes it takes to begin."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

import foundation
from foundation.cluster.probes import Probes
from foundation.discovery import DiscoveryStrategy, Peer
from foundation.errors import ConfigurationError, DiscoveryError, ListenError, NotRunningError
from tests.waiting import eventually

GIVEN: dict[str, Any] = {"cluster": "static", "cookie": "tests", "transport": "memory", "handle_signals": False}


async def asked(port: int | None, path: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.request(method, path)


async def test_a_node_that_takes_part_is_alive_and_ready() -> None:
    """It says so over HTTP, with its figures, and says what there is to whoever asks for something else."""
    async with foundation.start_cluster(name="here", probe_port=0, **GIVEN) as here:
        for path in ("/health/live", "/health/ready"):
            answer = await asked(here.probe_port, path)
            assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        figures = (await asked(here.probe_port, "/metrics")).text
        assert 'foundation_members{status="up"} 1\n' in figures
        assert 'foundation_members{status="down"} 0\n' in figures
        assert "foundation_dropped_total 0\n" in figures
        other = await asked(here.probe_port, "/")
        assert (other.status_code, other.json()["paths"][0]) == (404, "/health/live")
        assert (await asked(here.probe_port, "/health/live", "POST")).status_code == 405
        assert (await asked(here.probe_port, "/health/live", "HEAD")).text == ""
        port = here.probe_port
    with pytest.raises(httpx.ConnectError):
        await asked(port, "/health/live")


async def test_a_start_waits_for_enough_members(caplog: pytest.LogCaptureFixture) -> None:
    """Meanwhile it is alive, not ready, and its program has not begun; it is ready as long as there are enough."""
    caplog.set_level("WARNING")
    begun = foundation.start_cluster(name="here", min_members=2, probe_port=0, **GIVEN)
    starting = asyncio.ensure_future(begun.__aenter__())
    await eventually(lambda: "here waits: 1 of at least 2 members are up" in caplog.text)
    cluster = begun._cluster
    answer = await asked(cluster.probe_port, "/health/ready")
    assert (answer.status_code, answer.json()["reason"]) == (503, "1 of at least 2 members are up")
    assert (await asked(cluster.probe_port, "/health/live")).status_code == 200
    assert not starting.done()
    async with foundation.start_cluster(name="there", peers=[cluster.address], **GIVEN):
        assert await starting is cluster
        assert (await asked(cluster.probe_port, "/health/ready")).status_code == 200
    await eventually(lambda: len(cluster.members()) == 1)
    assert (await asked(cluster.probe_port, "/health/ready")).status_code == 503
    await begun.__aexit__(None, None, None)


class Listing(DiscoveryStrategy):
    """Says what it is told to say."""

    poll_interval_s = 0.05

    def __init__(self) -> None:
        self.finds: list[str] | None = None

    async def lookup(self) -> list[Peer]:
        if self.finds is None:
            message = "not reachable"
            raise DiscoveryError(message)
        return [Peer((address,)) for address in self.finds]


async def test_a_start_waits_for_more_than_half_of_those_who_are_there(caplog: pytest.LogCaptureFixture) -> None:
    """A node that cannot ask, or cannot reach those it was told of, does not begin; it does once they are gone."""
    caplog.set_level("WARNING")
    listing = Listing()
    given: dict[str, Any] = GIVEN | {"cluster": listing}
    begun = foundation.start_cluster(name="here", majority_of_found=True, join_timeout_s=0.1, **given)
    starting = asyncio.ensure_future(begun.__aenter__())
    await eventually(lambda: "here waits: Listing could not be asked yet, and others may be there" in caplog.text)
    listing.finds = ["127.0.0.1:1", "127.0.0.1:2"]
    await eventually(lambda: "here waits: 1 of 3 nodes are up, which is not more than half" in caplog.text)
    assert not starting.done()
    async with foundation.start_cluster(name="there", peers=[begun._cluster.address], **GIVEN):
        cluster = await starting
    assert caplog.text.count("here waits") == 2, "what has not changed is said once"
    await cluster.stop()


async def test_a_node_that_finds_nobody_is_the_first() -> None:
    """Where discovery has answered that nobody is there."""
    listing = Listing()
    listing.finds = []
    given: dict[str, Any] = GIVEN | {"cluster": listing}
    async with foundation.start_cluster(majority_of_found=True, **given) as here:
        assert len(here.members()) == 1


async def test_a_start_that_is_given_up_while_it_waits_leaves() -> None:
    """Whoever does not want to wait any longer gets a node that has stopped."""
    begun = foundation.start_cluster(name="here", min_members=2, **GIVEN)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await begun.__aenter__()
    with pytest.raises(NotRunningError):
        begun._cluster.members()


async def test_a_node_whose_fabric_is_lost_is_not_alive() -> None:
    """The reason is the cause of the loss."""
    async with foundation.start_cluster(name="here", **GIVEN) as here:
        parts: Any = here._parts
        probes = Probes(parts, here.config)
        parts.fabric._session_lost("cut off on purpose")
        for path in ("/health/live", "/health/ready"):
            status, _, body = probes.answer(path)
            assert status == 503
            assert b"cut off on purpose" in body
        parts.fabric._lost = None


async def test_a_port_that_is_taken_is_an_error() -> None:
    """The message says where."""
    async with foundation.start_cluster(name="here", probe_port=0, **GIVEN) as here:
        with pytest.raises(ListenError, match=f"for probes on 127.0.0.1:{here.probe_port}: Address already in use"):
            async with foundation.start_cluster(name="there", probe_port=here.probe_port, **GIVEN):
                pass


@pytest.mark.parametrize("given", [{"min_members": "0"}, {"min_members": "many"}, {"probe_port": "-1"}])
def test_what_is_no_number_is_refused(given: dict[str, str]) -> None:
    """With the word of the configuration."""
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        foundation.start_cluster(name="here", **given, **GIVEN)
