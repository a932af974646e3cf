"""Whole nodes with certificates: everything between them is encrypted, and never silently anything less."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import foundation
from foundation.config import load_config
from foundation.errors import ConfigurationError
from foundation.fabric import FabricOptions, TlsOptions
from foundation.fabric.tls import Tls
from tests.certificates import Authorities
from tests.cluster.conftest import StartNodes
from tests.cluster.test_paths import cut_direct, peer_of
from tests.waiting import eventually

ALONE: dict[str, Any] = {"cluster": "static", "cookie": "tests", "handle_signals": False}


class Echo(foundation.Process):
    """Says what it is told."""

    async def echo(self, load: bytes) -> bytes:
        return load


def endpoints(node: foundation.Cluster) -> tuple[str, ...]:
    parts: Any = node._running
    there: tuple[str, ...] = parts.fabric._session.endpoints
    return there


async def test_nodes_call_each_other_over_tls(start_nodes: StartNodes, authorities: Authorities) -> None:
    """Calls take a direct link, and large arguments arrive whole, in both directions."""
    here, there = await start_nodes("here", "there", tls=authorities.ours.node())
    echo = await here.start_process(Echo, node=there.node)
    assert await echo.echo(b"hello") == b"hello"
    await eventually(lambda: peer_of(here, there).way == peer_of(there, here).way == "direct")
    load = bytes(range(256)) * (1 << 12)
    assert await echo.echo(load) == load
    direct: Any = peer_of(here, there)._direct
    assert direct.link._tls.is_open


async def test_without_a_direct_link_the_routes_are_tls(
    start_nodes: StartNodes, authorities: Authorities, transport: str
) -> None:
    """Where no direct link may be made the frames take routes that are encrypted as well."""
    options = FabricOptions(tls=authorities.ours.node(), direct_links=False)
    here, there = await start_nodes("here", "there", fabric=options)
    echo = await here.start_process(Echo, node=there.node)
    load = bytes(1 << 20)
    assert await echo.echo(load) == load
    assert peer_of(here, there).way == peer_of(there, here).way == "routed"
    if transport == "zenoh":
        assert all(endpoint.startswith("tls/") for node in (here, there) for endpoint in endpoints(node))


async def test_a_link_that_tls_refuses_is_not_made_in_the_clear(
    start_nodes: StartNodes, authorities: Authorities
) -> None:
    """A link whose certificate is not believed any more is not made; frames go on over the routes that there are."""
    here, there = await start_nodes("here", "there", tls=authorities.ours.node())
    await here.processes(there.node)
    await eventually(lambda: peer_of(here, there).way == peer_of(there, here).way == "direct")
    for node in (here, there):
        parts: Any = node._running
        parts.fabric._tls = Tls(authorities.theirs.node())  # what it dials with; its door and its routes stay
    echo = await here.start_process(Echo, node=there.node)
    cut_direct(here, there)
    await eventually(lambda: not peer_of(here, there).has_link and not peer_of(there, here).has_link)
    peer_of(here, there).dial_after = peer_of(there, here).dial_after = 0.0
    assert await echo.echo(b"hello") == b"hello"
    await eventually(lambda: peer_of(here, there).failed_dials > 0)
    assert await echo.echo(b"again") == b"again"
    assert peer_of(here, there).way == peer_of(there, here).way == "routed"


async def test_cuts_lose_nothing_over_tls(start_nodes: StartNodes, authorities: Authorities) -> None:
    """A link that breaks is made again, with TLS, and what was under way arrives."""
    here, there = await start_nodes("here", "there", tls=authorities.ours.node())
    echo = await here.start_process(Echo, node=there.node)
    for number in range(20):
        assert await echo.echo(bytes([number])) == bytes([number])
        cut_direct(*((here, there) if number % 2 else (there, here)))
    await eventually(lambda: peer_of(here, there).way is not None)
    assert await echo.echo(b"the end") == b"the end"


@pytest.mark.parametrize("other", ["plain", "theirs"])
async def test_who_has_other_certificates_or_none_stays_alone(
    authorities: Authorities, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    """It is not let in, the logs of both say why, and nobody goes on in the clear."""
    tls = None if other == "plain" else authorities.theirs.node()
    with caplog.at_level(logging.WARNING):
        async with (
            foundation.start_cluster(name="safe", tls=authorities.ours.node(), **ALONE) as safe,
            foundation.start_cluster(name="late", tls=tls, peers=[safe.address], **ALONE) as late,
        ):
            parts: Any = safe._running
            await eventually(lambda: parts.fabric.refused > 0 and "cannot join" in caplog.text)
            assert len(safe.members()) == len(late.members()) == 1
    lines = {"plain": ("it does not speak TLS", "this node does not speak TLS"), "theirs": ("its certificate",) * 2}
    at_door, at_dialer = lines[other]
    assert any("refused a stranger" in line and _mentions(line, at_door) for line in caplog.messages)
    assert any("cannot join the node at" in line and at_dialer in line for line in caplog.messages)


def _mentions(line: str, what: str) -> bool:
    return what in line or what.replace("its", "the") in line


async def test_files_that_do_not_fit_fail_the_start(authorities: Authorities) -> None:
    """The error comes before anything runs, and names the file."""
    tls = TlsOptions("missing.pem", "missing-key.pem", authorities.ours.file)
    with pytest.raises(ConfigurationError, match=r"'missing\.pem' cannot be read"):
        await foundation.start_cluster(tls=tls, **ALONE)


# --- what is configured ------------------------------------------------------------------------------------

FILES = {
    "FOUNDATION_TLS_CERTIFICATE": "node.pem",
    "FOUNDATION_TLS_PRIVATE_KEY": "node-key.pem",
    "FOUNDATION_TLS_AUTHORITY": "authority.pem",
}
OPTIONS = TlsOptions("node.pem", "node-key.pem", "authority.pem")


def configured(environ: dict[str, str], **arguments: Any) -> TlsOptions | None:
    return load_config({"cookie": "tests"} | arguments, environ).fabric.tls


def test_files_come_from_the_environment_or_from_arguments() -> None:
    """Arguments win over the environment, one by one or as a whole; options that are given stay."""
    assert configured({}) is None
    assert configured(FILES) == OPTIONS
    assert configured(FILES, tls_certificate="mine.pem") == TlsOptions("mine.pem", "node-key.pem", "authority.pem")
    mine = TlsOptions("a", "b", "c", mutual=False)
    assert configured(FILES, tls=mine) == mine
    assert configured({}, fabric=FabricOptions(tls=mine)) == mine
    merged = configured({"FOUNDATION_TLS_AUTHORITY": "d"}, fabric=FabricOptions(tls=mine))
    assert merged == TlsOptions("a", "b", "d", mutual=False)


@pytest.mark.parametrize("missing", FILES)
def test_half_of_the_files_is_an_error(missing: str) -> None:
    """What is missing is named, by the name that it has in the environment; empty is missing too."""
    some = {name: file for name, file in FILES.items() if name != missing}
    for environ in (some, some | {missing: ""}):
        with pytest.raises(ConfigurationError, match=f"missing: {missing}$"):
            configured(environ)


def test_mutual_tls_may_stand_in_for_a_cookie() -> None:
    """Beyond loopback a node wants a cookie, or certificates of both sides."""
    assert load_config({"cookie": "", "host": "0.0.0.0"}, FILES).fabric.tls == OPTIONS
    for tls in (None, TlsOptions("a", "b", "c", mutual=False)):
        with pytest.raises(ConfigurationError, match="refusing to listen"):
            load_config({"cookie": "", "host": "0.0.0.0", "tls": tls}, {})
