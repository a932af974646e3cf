"""The door lets in who can prove itself, and what others do at it costs little and harms nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from foundation.core.identity import NodeId
from foundation.core.secret import Secret
from foundation.core.sources import new_node_id
from foundation.errors import HandshakeError, ListenError, RefusedError, UnreachableError
from foundation.fabric import door as door_module
from foundation.fabric.dialing import dial
from foundation.fabric.door import Door, knock
from foundation.fabric.handshake import (
    NONCE_BYTES,
    Hello,
    Identity,
    Refusal,
    Refused,
    decode,
    encode,
)
from foundation.fabric.link import Link
from foundation.fabric.options import FabricOptions
from foundation.fabric.versions import SPOKEN
from tests.waiting import eventually, turns

COOKIE_TEXT = "the cookie of the cluster"
COOKIE = Secret(COOKIE_TEXT)
HOST = "127.0.0.1"
BOB = Identity("shop", new_node_id(), "bob", "1.0", ("tcp/127.0.0.1:2",))
ANNE = Identity("shop", new_node_id(), "anne", "1.0", ("tcp/127.0.0.1:1",))
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def options(handshake_timeout_s: float = 10.0, max_strangers: int = 128, port: int = 0) -> FabricOptions:
    return FabricOptions(port=port, handshake_timeout_s=handshake_timeout_s, max_strangers=max_strangers)


def door(chosen: FabricOptions | None = None, cookie: Secret = COOKIE) -> Door:
    return Door(lambda: BOB, cookie, chosen or options())


async def knock_at(there: Door, me: Identity = ANNE, cookie: Secret = COOKIE) -> Identity:
    return await knock((HOST, there.port), me, cookie, 10)


@asynccontextmanager
async def stranger(there: Door) -> AsyncGenerator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, there.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def said_to(there: Door, data: bytes) -> bytes:
    """Say something at the door and return everything that it answers until it hangs up."""
    async with asyncio.timeout(10), stranger(there) as (reader, writer):
        writer.write(data)
        return await reader.read()


async def hung_up(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionResetError:
        return True


async def test_a_node_of_the_cluster_learns_who_lives_there() -> None:
    """A knock with the cookie ends with the identity of the door's node, and is no refusal."""
    async with door() as there:
        assert await knock_at(there) == BOB
        assert there.refused == 0


async def test_both_ends_of_a_link_know_which_version_to_speak() -> None:
    """What was agreed on at the door is there for whoever writes packets, at each end."""
    accepted: list[Link] = []
    async with Door(lambda: BOB, COOKIE, options(), lambda link, _node: accepted.append(link)) as there:
        link, _ = await dial((HOST, there.port), ANNE, COOKIE, 10, wants_link=True)
        assert [link.version, *(each.version for each in accepted)] == [SPOKEN.newest] * 2
        link.close()


async def test_packets_that_come_with_the_welcome_are_kept_to_the_last_byte() -> None:
    """TCP knows no messages: the first packet may begin where the welcome ends, before anybody takes the link over."""
    packet = b"\0\0\0\x05first"
    async with Door(lambda: BOB, COOKIE, options(), lambda _link, _node: None) as there:
        link, _ = await dial((HOST, there.port), ANNE, COOKIE, 10, wants_link=True)
        link.data_received(packet[:1])
        link.data_received(packet[1:] + packet[:6])
        got: list[bytes] = []
        link.take_over(lambda each: got.append(bytes(each)))
        link.data_received(packet[6:])
        assert got == [b"first", b"first"]
        link.close()


async def test_who_sends_much_before_its_link_is_taken_over_loses_it() -> None:
    """What is kept for nobody is bounded."""
    async with Door(lambda: BOB, COOKIE, options(), lambda _link, _node: None) as there:
        link, _ = await dial((HOST, there.port), ANNE, COOKIE, 10, wants_link=True)
        for _ in range(5):
            link.data_received(bytes(16 << 10))
        assert link.is_closing


@pytest.mark.parametrize(
    ("me", "cookie", "refusal"),
    [
        (ANNE, Secret("a wrong guess"), Refusal.COOKIE),
        (ANNE, Secret(""), Refusal.NO_COOKIE),
        (Identity("bank", new_node_id(), "carl", "1.0", ()), COOKIE, Refusal.CLUSTER),
    ],
)
async def test_a_refusal_is_explained_on_both_sides_and_logged_once(
    me: Identity, cookie: Secret, refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    """The dialer gets the reason, the door logs it once however often the dialer tries, and no secret shows."""
    with caplog.at_level(logging.DEBUG):
        async with door() as there:
            for _ in range(3):
                with pytest.raises(RefusedError) as caught:
                    await knock_at(there, me, cookie)
                assert caught.value.reason == refusal.name
            await eventually(lambda: there.refused == 3)
            assert await knock_at(there) == BOB
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert lines == [f"refused {me.name} {me.node[:8]} at {HOST}: {refusal}"]
    assert COOKIE_TEXT not in caplog.text
    assert "a wrong guess" not in caplog.text


async def test_a_node_that_reaches_itself_is_told_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Discovery finds one's own address all the time, which deserves no line in the log."""
    async with door() as there:
        with pytest.raises(RefusedError) as caught:
            await knock_at(there, BOB)
    assert caught.value.reason == Refusal.ITSELF.name
    assert "refused" not in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"\x00\x03abc",
        b"\x00\x00",
        b"\xff\xff",  # the length alone is refused, without waiting for what it promises
        encode(Refused("COOKIE")),
        b"\x00\x05" + b"\x95\xc1\xc1\xc1\xc1",
    ],
)
async def test_garbage_is_refused_and_the_door_goes_on(data: bytes) -> None:
    """What is no handshake gets one short answer, is counted, and the next node is let in."""
    async with door() as there:
        answer = await said_to(there, data)
        assert decode(answer[2:]) == Refused(Refusal.MALFORMED.name)
        assert there.refused == 1
        assert await knock_at(there) == BOB


async def test_silence_is_cut_short(caplog: pytest.LogCaptureFixture) -> None:
    """Who says nothing, or says it too slowly, is shown out when its time is over."""
    async with door(options(handshake_timeout_s=0.05)) as there, stranger(there) as (silent, _):
        async with stranger(there) as (slow, writer):
            writer.write(b"\x00")
            assert await hung_up(silent)
            assert await hung_up(slow)
        await eventually(lambda: there.refused == 2)
    assert caplog.text.count("it did not prove itself in 0.05 s") == 1


async def test_more_strangers_than_allowed_are_sent_away_at_once() -> None:
    """The number of unproven connections is bounded, and a place that becomes free is given again."""
    async with door(options(max_strangers=3)) as there, AsyncExitStack() as crowd:
        first = await crowd.enter_async_context(stranger(there))
        for _ in range(2):
            await crowd.enter_async_context(stranger(there))
        await eventually(lambda: len(there._strangers) == 3)
        async with stranger(there) as (reader, _):
            assert await hung_up(reader)
        assert there.refused == 1
        first[1].close()
        await eventually(lambda: len(there._strangers) == 2)
        assert await knock_at(there) == BOB


async def test_who_leaves_early_is_no_refusal(caplog: pytest.LogCaptureFixture) -> None:
    """A port scan is neither counted nor logged."""
    async with door() as there:
        for data in (b"", b"\x00", b"\x00\x40abc"):
            async with stranger(there) as (_, writer):
                writer.write(data)
        await eventually(lambda: len(there._strangers) == 0)
        assert there.refused == 0
    assert not caplog.records


async def test_many_names_do_not_flood_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger that calls itself something else each time fills neither the memory nor the log."""
    monkeypatch.setattr(door_module, "_MOST_REMEMBERED", 5)
    async with door() as there:
        for number in range(20):
            hello = Hello(1, "bank", NodeId(f"a{number}"), bytes(NONCE_BYTES), has_cookie=True, name=str(number))
            await said_to(there, encode(hello))
        await eventually(lambda: there.refused == 20)
    assert len(caplog.records) == 6
    assert "only counted" in caplog.text


async def test_a_port_in_use_is_named() -> None:
    """The error says which address it was and what to do."""
    async with door() as there:
        with pytest.raises(ListenError, match=f"{HOST}:{there.port}: the port is in use"):
            await door(options(port=there.port)).__aenter__()


async def test_an_address_of_another_machine_is_named() -> None:
    """An address that this machine does not have is a listening error too."""
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:0"):
        await Door(lambda: BOB, COOKIE, FabricOptions(host="192.0.2.1")).__aenter__()


async def test_a_closed_door_leaves_nothing_behind() -> None:
    """Closing shows all strangers out and waits for it: no task, no connection, and the port is free."""
    async with AsyncExitStack() as crowd:
        async with door() as there:
            readers = [(await crowd.enter_async_context(stranger(there)))[0] for _ in range(5)]
            await eventually(lambda: len(there._strangers) == 5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for reader in readers:
            assert await hung_up(reader)
        async with door(options(port=there.port)):
            pass
    gc.collect()


@pytest.mark.parametrize("turns_before", range(6))
async def test_who_comes_while_the_door_closes_is_sent_away(turns_before: int) -> None:
    """A connection that is just being accepted leaves neither a task nor an open socket."""
    with socket.socket() as late:
        late.setblocking(False)  # noqa: FBT003
        async with door() as there:
            late.connect_ex((HOST, there.port))
            await turns(turns_before)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        with suppress(ConnectionResetError):
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(late, 1), 10) == b""
    gc.collect()


# --- the dialer's side -------------------------------------------------------------------------------------


@asynccontextmanager
async def impostor(
    behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_nobody_at_home_is_told_apart_from_silence() -> None:
    """A host that refuses says that the process is gone; one that is silent says nothing."""
    async with door() as there:
        port = there.port
    with pytest.raises(UnreachableError, match=f"{HOST}:{port}") as refused:
        await knock((HOST, port), ANNE, COOKIE, 10)
    assert refused.value.connection_refused

    async def be_silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with impostor(be_silent) as port:
        with pytest.raises(UnreachableError, match=r"within 0\.05 s") as silent:
            await knock((HOST, port), ANNE, COOKIE, 0.05)
    assert not silent.value.connection_refused


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", HandshakeError),
        (b"\x00\x01\xc1", HandshakeError),
        (b"\xff\xff", HandshakeError),
        (b"", UnreachableError),
        (b"\x00\x20only a part", UnreachableError),
    ],
)
async def test_something_else_at_the_address_is_an_error_of_ours(answer: bytes, kind: type[Exception]) -> None:
    """Whatever answers there, the dialer gets an error of the fabric that names the address."""

    async def answer_so(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)

    async with impostor(answer_so) as port:
        with pytest.raises(kind, match=f"{HOST}:{port}"):
            await knock((HOST, port), ANNE, COOKIE, 10)


async def test_what_an_impostor_gives_as_its_reason_is_shown_quoted() -> None:
    """Nobody's terminal obeys what an unproven door says."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(encode(Refused("\x1b[2J" * 99)))

    async with impostor(refuse) as port:
        with pytest.raises(RefusedError) as caught:
            await knock((HOST, port), ANNE, COOKIE, 10)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("address", [("no..such..host", 1), (HOST, 70_000), (HOST, -1), ("\udce9", 1), ("", 1)])
async def test_an_address_that_cannot_be_one_is_unreachable(address: tuple[str, int]) -> None:
    """Addresses come from others; a malformed one is an error like any other."""
    with pytest.raises(UnreachableError):
        await knock(address, ANNE, COOKIE, 10)
