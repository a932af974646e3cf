"""Cookie and certificates are replaced on a cluster that goes on working."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import load_der_x509_certificate

import foundation
from foundation import MemberDown, Process
from foundation.config import load_config
from foundation.core.secret import Secret
from foundation.errors import ConfigurationError, FoundationError
from foundation.fabric import FabricOptions, TlsOptions
from tests.certificates import Authorities, Authority
from tests.cluster.conftest import StartNodes
from tests.waiting import eventually, turns

STEPS = ("old\nnew", "new\nold", "new")


class Echo(Process):
    async def say(self, number: int) -> int:
        return number


class Load:
    """Each node calls a process on each other one, over and over."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[str] = []
        self.downs: list[MemberDown] = []

    async def call(self, echo: Echo) -> None:
        while True:
            try:
                assert await foundation.options(echo, timeout_s=10).say(self.calls) is not None
            except FoundationError as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            self.calls += 1
            await turns(1)

    async def watch(self, node: foundation.Cluster) -> None:
        async for event in node.events():
            if isinstance(event, MemberDown):
                self.downs.append(event)


@asynccontextmanager
async def load_on(nodes: Sequence[foundation.Cluster]) -> AsyncGenerator[Load]:
    load = Load()
    echoes = [await node.start_process(Echo, node=it.node) for node in nodes for it in nodes if it is not node]
    work = [*map(load.watch, nodes), *map(load.call, echoes)]
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _together(nodes: Sequence[foundation.Cluster]) -> bool:
    ups = [sum(member.status is foundation.MemberStatus.UP for member in node.members()) for node in nodes]
    return ups == [len(nodes)] * len(nodes)


@pytest.mark.parametrize("direct", [True, False], ids=["direct links", "routes alone"])
async def test_a_cookie_is_replaced_under_load(start_nodes: StartNodes, transport: str, direct: bool) -> None:
    """In three steps, node by node: no call fails and nobody is down; then only the new cookie lets anybody in."""
    fabric = FabricOptions(direct_links=direct)
    nodes = await start_nodes("a", "b", "c", cookie="old", fabric=fabric)
    async with load_on(nodes) as load:
        for step in STEPS:
            for node in nodes:
                before = load.calls
                await node.credentials.renew(step)
                await eventually(lambda: _together(nodes))
                await eventually(lambda before=before: load.calls > before + 100)
        assert load.failures == []
        assert load.downs == []
        given: dict[str, Any] = {
            "peers": [nodes[0].address],
            "cluster": "static",
            "transport": transport,
            "handle_signals": False,
        }
        async with foundation.start_cluster(name="d", cookie="new", **given) as joined:
            await eventually(lambda: _together([*nodes, joined]))
        async with foundation.start_cluster(name="e", cookie="old", join_timeout_s=0.5, **given) as stranger:
            assert len(stranger.members()) == 1


def _install(files: TlsOptions, node: Authority, *believed: Authority) -> None:
    """Put a new certificate of an authority, and whom to believe, where a node has its own."""
    made = node.node(believes=believed)
    for name in ("certificate", "private_key", "authority"):
        fresh = Path(getattr(files, name)).with_suffix(".new")
        shutil.copy(getattr(made, name), fresh)
        fresh.replace(getattr(files, name))


def _write(file: str, content: bytes) -> bytes:
    """Write a file, and return what it held."""
    before = Path(file).read_bytes()
    Path(file).write_bytes(content)
    return before


async def _shown_at(address: str, files: TlsOptions) -> str:
    """Return which authority has made the certificate that a port shows."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=files.authority)
    context.check_hostname = False
    context.load_cert_chain(files.certificate, files.private_key)
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return load_der_x509_certificate(shown).issuer.rfc4514_string()


async def _start(stack: AsyncExitStack, transport: str, files: Sequence[TlsOptions]) -> list[foundation.Cluster]:
    """Start nodes that have no cookie, and look at their files all the time."""
    nodes: list[foundation.Cluster] = []
    for name, tls in zip("abc", files, strict=True):
        fabric = FabricOptions(tls=tls, credentials_poll_s=0.02)
        peers = [node.address for node in nodes]
        given: dict[str, Any] = {"cookie": "", "cluster": "static", "transport": transport, "handle_signals": False}
        nodes.append(
            await stack.enter_async_context(foundation.start_cluster(name=name, peers=peers, fabric=fabric, **given))
        )
    await eventually(lambda: _together(nodes))
    return nodes


async def test_certificates_and_their_authority_are_replaced_under_load(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By files that change: first all believe both, then show the new, then believe no other. No call fails."""
    caplog.set_level(logging.INFO, "foundation.cluster.credentials")
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    files = [old.node() for _ in range(3)]
    async with AsyncExitStack() as stack:
        nodes = await _start(stack, transport, files)
        load = await stack.enter_async_context(load_on(nodes))
        renewals = 0
        for shown, believed in ((old, (new,)), (new, (old,)), (new, ())):
            for tls in files:
                _install(tls, shown, *believed)
                renewals += 1
                await eventually(lambda done=renewals: caplog.text.count("were read again") == done)
                before = load.calls
                await eventually(lambda: _together(nodes))
                await eventually(lambda before=before: load.calls > before + 100)
        assert load.failures == []
        assert load.downs == []
        issuer = new.name
        for node in nodes:
            assert await _shown_at(node.address, files[0]) == issuer
            if transport == "zenoh":
                (endpoint,) = node._running.fabric._session.endpoints  # type: ignore[union-attr]
                assert await _shown_at(endpoint.partition("/")[2], files[0]) == issuer


async def test_files_that_are_no_good_change_nothing(
    start_nodes: StartNodes, authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """The node says so and goes on with what it has; good files end that."""
    files = authorities.ours.node()
    fabric = FabricOptions(tls=files, credentials_poll_s=0.02)
    here, there = await start_nodes("here", "there", fabric=fabric)
    good = _write(files.private_key, b"nonsense")
    with pytest.raises(ConfigurationError, match="is not a private key"):
        await here.credentials.renew()
    await eventually(lambda: caplog.text.count("stay as they were") == 2)
    assert "is not a private key" in caplog.text
    echo = await here.start_process(Echo, node=there.node)
    assert await echo.say(1) == 1
    caplog.set_level(logging.INFO, "foundation.cluster.credentials")
    _write(files.private_key, good)
    await eventually(lambda: caplog.text.count("were read again") == 2)
    await eventually(lambda: _together([here, there]))
    assert await echo.say(2) == 2


async def test_a_cookie_file_is_read_again(transport: str, tmp_path: Path) -> None:
    """What it holds is the cookie from then on."""
    file = tmp_path / "cookie"
    file.write_text("old")
    file.chmod(0o600)
    given: dict[str, Any] = {"cluster": "static", "transport": transport, "handle_signals": False}
    fabric = FabricOptions(credentials_poll_s=0.02)
    async with foundation.start_cluster(name="here", cookie_file=str(file), fabric=fabric, **given) as here:
        file.write_text("brand new")
        while True:
            async with foundation.start_cluster(
                name="there", cookie="brand new", peers=[here.address], **given
            ) as there:
                if len(there.members()) == 2:
                    break


def test_a_cookie_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Also when it is another user's business, or empty."""
    file = tmp_path / "cookie"
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_config({"cookie_file": str(file)}, {})
    file.write_text("a cookie")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_config({}, {"FOUNDATION_COOKIE_FILE": str(file)})
    file.chmod(0o600)
    assert load_config({}, {"FOUNDATION_COOKIE_FILE": str(file)}).cookie == Secret("a cookie")
    assert load_config({"cookie": "given"}, {"FOUNDATION_COOKIE_FILE": str(file)}).cookie_file is None
