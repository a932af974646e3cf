"""With TLS a door speaks nothing else, believes only whom its authority certifies, and both sides are told why."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.core.secret import Secret
from foundation.errors import ConfigurationError, FabricError, HandshakeError, RefusedError, UnreachableError
from foundation.fabric import FabricOptions, TlsOptions
from foundation.fabric.door import Door, knock
from foundation.fabric.handshake import Refusal, Refused, decode
from foundation.fabric.tls import Conversation, Tls
from tests.certificates import Authorities
from tests.fabric.test_door import ANNE, BOB, COOKIE, HOST, stranger
from tests.waiting import eventually


def door(tls: TlsOptions | None, handshake_timeout_s: float = 10.0) -> Door:
    options = FabricOptions(handshake_timeout_s=handshake_timeout_s)
    return Door(lambda: BOB, COOKIE, options, tls=Tls(tls) if tls else None)


async def knock_at(port: int, tls: TlsOptions | None, host: str = HOST) -> None:
    assert await knock((host, port), ANNE, COOKIE, 10, Tls(tls) if tls else None) == BOB


async def refused(there: Door, tls: TlsOptions | None, kind: type[FabricError] = HandshakeError) -> str:
    """Knock in vain and return what the dialer was told."""
    with pytest.raises(kind) as caught:
        await knock_at(there.port, tls)
    await eventually(lambda: there.refused == 1 and not there._connections)
    return str(caught.value)


def logged(caplog: pytest.LogCaptureFixture) -> str:
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    return line


# --- who is let in -----------------------------------------------------------------------------------------


async def test_nodes_of_one_authority_let_each_other_in(authorities: Authorities) -> None:
    """The handshake with the cookie goes on inside TLS, and is as before."""
    async with door(authorities.ours.node()) as there:
        await knock_at(there.port, authorities.ours.node())
        assert there.refused == 0


async def test_tls_does_not_stand_in_for_the_cookie(authorities: Authorities) -> None:
    """Who has a certificate and another cookie stays outside."""
    tls = Tls(authorities.ours.node())
    async with Door(lambda: BOB, Secret("another"), FabricOptions(), tls=tls) as there:
        with pytest.raises(RefusedError) as caught:
            await knock((HOST, there.port), ANNE, COOKIE, 10, tls)
    assert caught.value.reason == Refusal.COOKIE.name


@pytest.mark.parametrize("mutual", [True, False])
async def test_a_certificate_is_no_licence_to_stand_between(
    authorities: Authorities, caplog: pytest.LogCaptureFixture, *, mutual: bool
) -> None:
    """Who has a certificate of the cluster and passes on the handshake of two nodes gets neither of them to believe."""
    bob = authorities.ours.node(mutual=mutual)
    async with door(bob) as there, relayed(there.port, authorities.ours.node()) as port:
        with pytest.raises(RefusedError, match="somebody stands between the two") as caught:
            await knock_at(port, authorities.ours.node(mutual=mutual))
        assert caught.value.reason == Refusal.COOKIE.name
        assert there.refused == 1
        await knock_at(there.port, authorities.ours.node(mutual=mutual))
    assert "somebody stands between the two" in logged(caplog)


async def test_nodes_may_share_a_certificate(authorities: Authorities) -> None:
    """One certificate for a whole cluster is allowed; who has its key is a node, as far as TLS can tell."""
    shared = authorities.ours.node()
    async with door(shared) as there:
        await knock_at(there.port, shared)


def test_both_ends_know_the_certificate_of_the_door(authorities: Authorities) -> None:
    """It is the first in the file of the door, whatever the dialer shows, and known at the door from the start."""
    bob, mallory = Tls(authorities.ours.node()), Tls(authorities.ours.node())
    first = load_pem_x509_certificates(Path(bob.options.certificate).read_bytes())[0]
    dialer, at_door = mallory.to(HOST), bob.at_door()
    dialer.begin()
    while not dialer.is_open:
        carry(dialer, at_door, [1 << 20])
        carry(at_door, dialer, [1 << 20])
    assert dialer.door_certificate() == at_door.door_certificate() == first.fingerprint(SHA256())
    assert bob.at_door().door_certificate() != mallory.at_door().door_certificate()


async def test_nothing_is_said_in_the_clear(authorities: Authorities) -> None:
    """Whoever reads along on the wire sees neither names nor clusters, in either direction."""
    async with door(authorities.ours.node()) as there, tapped(there.port) as (port, wire):
        await knock_at(port, authorities.ours.node())
    async with door(None) as there, tapped(there.port) as (port, plain_wire):
        await knock_at(port, None)
    for word in (b"anne", b"bob", b"shop"):
        assert word in plain_wire
        assert word not in wire


async def test_a_door_of_another_authority_is_not_believed(
    authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """The dialer says whose certificate it does not accept; the door logs that it was not believed."""
    async with door(authorities.theirs.node()) as there:
        told = await refused(there, authorities.ours.node())
    assert f"{HOST}:{there.port}: its certificate is not accepted" in told
    assert f"refused a stranger at {HOST}: it does not accept the certificate" in logged(caplog)


async def test_a_dialer_of_another_authority_is_not_believed(
    authorities: Authorities, caplog: pytest.LogCaptureFixture
) -> None:
    """The door logs whose certificate it does not accept, and the dialer learns that it was its own."""
    async with door(authorities.ours.node()) as there:
        told = await refused(there, authorities.theirs.node(believes=(authorities.ours,)))
    assert f"{HOST}:{there.port}: it does not accept the certificate" in told
    assert "unknown ca" in told
    assert f"refused a stranger at {HOST}: its certificate is not accepted" in logged(caplog)


async def test_who_shows_no_certificate_is_refused(authorities: Authorities, caplog: pytest.LogCaptureFixture) -> None:
    """Mutual TLS, which is the default, wants a certificate from who dials too."""
    context = ssl.create_default_context(cafile=authorities.ours.file)
    async with door(authorities.ours.node()) as there:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await said_with(context, there)
        await eventually(lambda: there.refused == 1)
    assert logged(caplog) == f"refused a stranger at {HOST}: it shows no certificate"


async def test_a_certificate_of_the_dialer_may_be_waived(authorities: Authorities) -> None:
    """Without mutual TLS the cookie alone decides who comes in; the door still has to show its certificate."""
    context = ssl.create_default_context(cafile=authorities.ours.file)
    async with door(authorities.ours.node(mutual=False)) as there:
        answer = await said_with(context, there)
        assert decode(answer[2:]) == Refused(Refusal.MALFORMED.name)
        with pytest.raises(HandshakeError, match="its certificate is not accepted"):
            await knock_at(there.port, authorities.theirs.node(mutual=False))


async def test_names_are_checked_where_that_is_wanted(authorities: Authorities) -> None:
    """A certificate of our authority for another address is accepted by default, and not with ``verify_names``."""
    async with door(authorities.ours.node("elsewhere.example")) as there:
        await knock_at(there.port, authorities.ours.node())
        told = await refused(there, authorities.ours.node(verify_names=True))
    assert "127.0.0.1" in told
    async with door(authorities.ours.node("localhost", HOST)) as there:
        await knock_at(there.port, authorities.ours.node(verify_names=True))
        await knock_at(there.port, authorities.ours.node(verify_names=True), "localhost")


@pytest.mark.parametrize("host", ["", ".example", "no..such"])
async def test_a_host_that_cannot_have_a_name_is_an_error_of_ours(authorities: Authorities, host: str) -> None:
    """Addresses come from others; a malformed one is an error of the fabric with TLS too."""
    with pytest.raises(FabricError):
        await knock_at(1, authorities.ours.node(verify_names=True), host)


# --- one side has TLS, the other has not -------------------------------------------------------------------


async def test_a_plain_dialer_at_a_tls_door(authorities: Authorities, caplog: pytest.LogCaptureFixture) -> None:
    """Both sides are told who of them speaks TLS."""
    async with door(authorities.ours.node()) as there:
        told = await refused(there, None, RefusedError)
    assert "this node does not speak TLS, and that node does" in told
    assert logged(caplog) == f"refused a stranger at {HOST}: it does not speak TLS, and this node does"


async def test_a_tls_dialer_at_a_plain_door(authorities: Authorities, caplog: pytest.LogCaptureFixture) -> None:
    """Both sides are told who of them speaks TLS, and the dialer does not go on in the clear."""
    async with door(None) as there:
        told = await refused(there, authorities.ours.node())
    assert told == f"{HOST}:{there.port}: it does not speak TLS, and this node does"
    assert logged(caplog) == f"refused a stranger at {HOST}: it speaks TLS, and this node does not"


async def test_what_is_not_tls_is_told_to_go(authorities: Authorities) -> None:
    """A single byte is enough, and the door goes on."""
    async with door(authorities.ours.node()) as there:
        async with stranger(there) as (reader, writer):
            writer.write(b"G")
            answer = await asyncio.wait_for(reader.read(), 10)
        assert decode(answer[2:]) == Refused(Refusal.NO_TLS.name)
        await knock_at(there.port, authorities.ours.node())


async def test_broken_tls_is_refused(authorities: Authorities, caplog: pytest.LogCaptureFixture) -> None:
    """What only begins like TLS is sent away, once logged and each time counted."""
    async with door(authorities.ours.node()) as there:
        for _ in range(3):
            async with stranger(there) as (reader, writer):
                writer.write(b"\x16\x03\x01\x00\x05hello")
                await asyncio.wait_for(reader.read(), 10)
        await eventually(lambda: there.refused == 3)
        await knock_at(there.port, authorities.ours.node())
    assert "TLS with it has failed" in logged(caplog)


async def test_silence_in_the_middle_of_tls_is_cut_short(authorities: Authorities) -> None:
    """The limits of the door count from the first byte, not from the end of TLS."""
    async with door(authorities.ours.node(), handshake_timeout_s=0.05) as there, stranger(there) as (reader, writer):
        greeting = Tls(authorities.ours.node()).to(HOST)
        greeting.begin()
        writer.write(greeting.for_wire())
        while await asyncio.wait_for(reader.read(1 << 16), 10):
            pass
        assert there.refused == 1


async def test_a_tls_door_leaves_nothing_behind(authorities: Authorities) -> None:
    """Who stands in the middle of TLS when the door closes is shown out, and no task is left."""
    greeting = Tls(authorities.ours.node()).to(HOST)
    greeting.begin()
    there = door(authorities.ours.node())
    await there.__aenter__()
    async with stranger(there) as (reader, writer):
        writer.write(greeting.for_wire())
        assert await asyncio.wait_for(reader.read(1), 10) == b"\x16"
        await there.__aexit__(None, None, None)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 10)
    gc.collect()


async def test_a_door_that_hangs_up_in_the_middle_of_tls(authorities: Authorities) -> None:
    """The dialer gets an error of the fabric that names the address."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(behave, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError, match=f"{HOST}:{port}"):
            await knock_at(port, authorities.ours.node())


# --- a conversation ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20), load=st.binary(max_size=100_000))
def test_a_conversation_comes_in_any_pieces(authorities: Authorities, sizes: list[int], load: bytes) -> None:
    """However the network cuts it up, what is heard is what was said, and the end of it is noticed."""
    tls = _cached(authorities)
    dialer, at_door = tls.to(HOST), tls.at_door()
    dialer.begin()
    heard = bytearray()
    rounds = 0
    while not (dialer.is_open and at_door.is_open):
        carry(dialer, at_door, sizes)
        carry(at_door, dialer, sizes)
        rounds += 1
        assert rounds < 5
    dialer.say(load)
    dialer.end()
    heard += carry(dialer, at_door, sizes)
    assert heard == load
    assert at_door.is_over
    assert not dialer.is_over


def carry(sender: Conversation, receiver: Conversation, sizes: list[int]) -> bytes:
    wire, heard, turn = sender.for_wire(), b"", 0
    while wire:
        size = sizes[turn % len(sizes)]
        heard += receiver.take(wire[:size])
        wire, turn = wire[size:], turn + 1
    return heard


_made: list[Tls] = []


def _cached(authorities: Authorities) -> Tls:
    if not _made:
        _made.append(Tls(authorities.ours.node()))
    return _made[0]


# --- the files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["certificate", "private_key", "authority"])
def test_a_file_that_is_missing_or_something_else_is_named(
    authorities: Authorities, tmp_path: Path, field: str
) -> None:
    """The error names what the file was for, and its path."""
    good = authorities.ours.node()
    missing, nonsense = str(tmp_path / "missing.pem"), tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    what = field.replace("_", " ")
    with pytest.raises(ConfigurationError, match=f"{what} '{missing}' cannot be read: No such file"):
        Tls(replace(good, **{field: missing}))
    with pytest.raises(ConfigurationError, match=f"{what} {nonsense} "):
        Tls(replace(good, **{field: str(nonsense)}))


def test_files_that_do_not_belong_together_are_named(authorities: Authorities, tmp_path: Path) -> None:
    """A key of another certificate, an authority that did not certify it, and an encrypted key are told apart."""
    one, two, other = authorities.ours.node(), authorities.ours.node(), authorities.theirs.node()
    with pytest.raises(ConfigurationError, match=f"{two.private_key} does not belong to {one.certificate}"):
        Tls(replace(one, private_key=two.private_key))
    with pytest.raises(ConfigurationError, match=f"authority {other.authority} no node would .*{one.certificate}"):
        Tls(replace(one, authority=other.authority))
    key = load_pem_private_key(Path(one.private_key).read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigurationError, match=f"{locked} is encrypted"):
        Tls(replace(one, private_key=str(locked)))


def test_files_are_found_from_another_folder(
    authorities: Authorities, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths are those of the folder in which the node was started, for whoever reads the files later too."""
    good = authorities.ours.node()
    monkeypatch.chdir(authorities.ours.folder)
    names = [Path(file).name for file in (good.certificate, good.private_key, good.authority)]
    tls = Tls(TlsOptions(names[0], names[1], names[2]))
    monkeypatch.chdir(tmp_path)
    assert tls.options == good


# --- on the wire -------------------------------------------------------------------------------------------


async def said_with(context: ssl.SSLContext, there: Door) -> bytes:
    """Say a length of nothing at the door through Python's own TLS, and return what it answers."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(HOST, there.port, ssl=context)
        try:
            writer.write(b"\x00\x00")
            return await reader.read()
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def relayed(port: int, tls: TlsOptions) -> AsyncGenerator[int]:
    """Stand between the door at a port and whoever dials: TLS with each of them, and what the one says to the other."""
    to_dialer, to_door = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=tls.authority)
    for context in (to_dialer, to_door):
        context.load_cert_chain(tls.certificate, tls.private_key)
    async with tapped(port, to_dialer, to_door) as (here, _):
        yield here


@asynccontextmanager
async def tapped(
    port: int, to_dialer: ssl.SSLContext | None = None, to_door: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[int, bytearray]]:
    """Pass on what comes to a port, and write it all down."""
    wire = bytearray()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            wire.extend(data)
            writer.write(data)
        writer.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(HOST, port, ssl=to_door)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(pass_on, HOST, 0, ssl=to_dialer)
    async with server:
        yield server.sockets[0].getsockname()[1], wire
