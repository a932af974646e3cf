"""Simulated TCP: what arrives, when, and how a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from foundation.testing.errors import SimulationError
from foundation.testing.simulation import Latency, NetworkOptions, SimulatedHost, Simulation

PORT = 7000
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PLAIN = NetworkOptions(latency=Latency(0.01, 0.0))


class Pair:
    """Anne and Bob; Bob serves with a coroutine function that gets the streams of each connection."""

    def __init__(
        self, serve: Callable[..., Awaitable[None]] | None = None, seed: int = 1, options: NetworkOptions = PLAIN
    ) -> None:
        self.sim = Simulation(seed, network=options)
        self.network = self.sim.network
        self.anne, self.bob = self.sim.host("anne"), self.sim.host("bob")
        self._serve = serve

    def run(self, story: Callable[[], Any]) -> None:
        async def whole() -> None:
            if self._serve is not None:
                await self.bob.run(listen, self._serve)
            await story()

        self.sim.run(whole)


async def listen(serve: Callable[..., Awaitable[None]]) -> None:
    await asyncio.start_server(serve, None, PORT)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def connect(host: SimulatedHost) -> Streams:
    return await asyncio.open_connection(host.address, PORT)


async def ask(host: SimulatedHost, text: bytes) -> bytes:
    reader, writer = await connect(host)
    writer.write(text)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def test_an_echo_takes_the_time_of_the_way() -> None:
    """Connecting takes a round trip and an echo another one; the streams know their ends."""
    pair = Pair(echo)

    async def program() -> None:
        reader, writer = await asyncio.open_connection("bob", PORT)
        assert pair.sim.now == pytest.approx(0.02)
        assert writer.get_extra_info("peername") == (pair.bob.address, PORT)
        assert writer.get_extra_info("sockname")[0] == pair.anne.address
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert pair.sim.now == pytest.approx(0.04)
        writer.close()
        await writer.wait_closed()

    async def story() -> None:
        await pair.anne.run(program)

    pair.run(story)


def test_the_loopback_is_private() -> None:
    """A server at 127.0.0.1 answers its own host and nobody else."""
    pair = Pair()

    async def serve() -> None:
        await asyncio.start_server(echo, "127.0.0.1", PORT)
        reader, writer = await asyncio.open_connection("localhost", PORT)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()

    async def story() -> None:
        await pair.bob.run(serve)
        with pytest.raises(ConnectionRefusedError):
            await pair.anne.run(connect, pair.bob)

    pair.run(story)


def test_nobody_listening_differs_from_nobody_answering() -> None:
    """A host without a server refuses at once; behind a partition, and where no host is, nobody answers for minutes."""
    pair = Pair()

    async def story() -> None:
        with pytest.raises(ConnectionRefusedError):
            await pair.anne.run(connect, pair.bob)
        assert pair.sim.now == pytest.approx(0.02)
        pair.network.partition(pair.anne, pair.bob)
        with pytest.raises(TimeoutError):
            await pair.anne.run(connect, pair.bob)
        assert pair.sim.now == pytest.approx(127.02)
        with pytest.raises(TimeoutError):
            await pair.anne.run(asyncio.open_connection, "10.9.9.9", PORT)

    pair.run(story)


def test_a_connect_succeeds_once_the_partition_heals() -> None:
    """The request is repeated until somebody answers."""
    pair = Pair(echo)

    async def story() -> None:
        pair.network.partition("anne", "bob")
        asking = pair.anne.run(ask, pair.bob, b"still there?")
        await asyncio.sleep(10)
        assert not asking.done()
        pair.network.heal()
        assert await asking == b"still there?"
        assert 10 < pair.sim.now < 20

    pair.run(story)


def test_a_port_has_one_server() -> None:
    """The second server at a port is told that it is in use, and a closed one frees it."""
    pair = Pair()

    async def serve() -> None:
        first = await asyncio.start_server(echo, "0.0.0.0", PORT)
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(echo, None, PORT)
        first.close()
        await first.wait_closed()
        async with await asyncio.start_server(echo, None, 0) as other:
            assert other.sockets[0].getsockname()[1] > 1024

    async def story() -> None:
        await pair.bob.run(serve)

    pair.run(story)


async def write_all(host: SimulatedHost, data: bytes, written: list[int]) -> None:
    _, writer = await connect(host)
    for start in range(0, len(data), 1 << 14):
        writer.write(data[start : start + (1 << 14)])
        await writer.drain()
        written.append(start + (1 << 14))
    writer.close()
    await writer.wait_closed()


def test_a_reader_that_pauses_stops_the_writer() -> None:
    """What is written beyond the window and the buffer waits, and arrives whole once it is read."""
    go = asyncio.Event()
    received: list[bytes] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        received.append(await reader.read(-1))
        writer.close()

    pair = Pair(slow)
    megabyte = bytes(range(256)) * 4096
    written: list[int] = []

    async def open_up() -> None:
        go.set()

    async def story() -> None:
        writing = pair.anne.run(write_all, pair.bob, megabyte, written)
        await asyncio.sleep(1000)
        # The window, the buffer of the writer, and what the stream reader takes before it pauses.
        assert written[-1] < (128 + 64 + 3 * 128) << 10
        await pair.bob.run(open_up)
        await writing
        await asyncio.sleep(1)
        assert received == [megabyte]

    pair.run(story)


async def write_lines(host: SimulatedHost, lines: bytes) -> None:
    _, writer = await connect(host)
    for line in lines.splitlines(keepends=True):
        writer.write(line)
        await writer.drain()
        await asyncio.sleep(0.1)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("seed", range(5))
def test_a_partition_that_heals_loses_nothing(seed: int) -> None:
    """What is written before, in and after partitions, with losses, arrives once and in order."""
    received = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            received.extend(data)
        writer.close()

    pair = Pair(take, seed, NetworkOptions())
    lines = b"".join(b"line %d\n" % number for number in range(1000))

    async def story() -> None:
        writing = pair.anne.run(write_lines, pair.bob, lines)
        pair.network.drop(pair.anne, pair.bob, 0.2)
        for cut in (pair.network.partition, pair.network.partition_oneway, pair.network.hold):
            await asyncio.sleep(10)
            cut(pair.anne, pair.bob)
            await asyncio.sleep(10)
            pair.network.heal()
            pair.network.release()
        await writing
        await asyncio.sleep(300)
        assert bytes(received) == lines

    pair.run(story)


async def talk_until_lost(host: SimulatedHost, pause_s: float, ends: list[object]) -> None:
    reader, writer = await connect(host)
    await listen_until_lost(reader, writer, pause_s, ends)


async def listen_until_lost(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_s: float, ends: list[object]
) -> None:
    try:
        while not reader.at_eof() and reader.exception() is None:
            writer.write(b"tick")
            await writer.drain()
            await asyncio.sleep(pause_s)
            if reader.exception() is not None:
                raise reader.exception() or AssertionError
    except OSError as error:
        ends.append((type(error).__name__, asyncio.get_running_loop().time()))


def test_a_partition_that_does_not_heal_ends_connections() -> None:
    """Both sides that speak give up after a quarter of an hour."""
    ends: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await listen_until_lost(reader, writer, 1, ends)

    pair = Pair(serve)

    async def story() -> None:
        began = asyncio.get_running_loop().time()
        pair.anne.run(talk_until_lost, pair.bob, 1, ends)
        await asyncio.sleep(5)
        pair.network.partition(pair.anne, pair.bob)
        await asyncio.sleep(800)
        assert not ends
        await asyncio.sleep(200)
        assert [kind for kind, _ in ends] == ["TimeoutError"] * 2
        assert all(904 < at - began < 908 for _, at in ends)

    pair.run(story)


def test_a_one_way_partition_lets_the_other_way_through() -> None:
    """Bytes go through where the way is open; the sender does not learn it, and gives up in the end."""
    ends: list[Any] = []
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            received.append(data)
        writer.close()

    pair = Pair(serve)

    async def story() -> None:
        pair.anne.run(talk_until_lost, pair.bob, 10, ends)
        await asyncio.sleep(5)
        assert len(received) == 1
        pair.network.partition_oneway(pair.bob, pair.anne)
        await asyncio.sleep(100)
        assert len(received) == 11
        assert not ends
        await asyncio.sleep(900)
        assert [kind for kind, _ in ends] == ["TimeoutError"]

    pair.run(story)


async def read_all(host: SimulatedHost) -> None:
    reader, _ = await connect(host)
    await reader.read()


def test_a_kill_resets_connections() -> None:
    """Whoever talked to a killed program gets a reset, then refusals, until it is restarted."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    pair = Pair(serve)

    async def story() -> None:
        talking = pair.anne.run(read_all, pair.bob)
        await asyncio.sleep(1)
        pair.bob.kill()
        with pytest.raises(ConnectionResetError):
            await talking
        assert pair.sim.now < 1.1
        with pytest.raises(ConnectionRefusedError):
            await pair.anne.run(connect, pair.bob)
        await pair.bob.restart(listen, echo)
        assert await pair.anne.run(ask, pair.bob, b"again") == b"again"

    pair.run(story)


def test_an_abort_resets_the_connection() -> None:
    """Whoever talks to a program that aborts gets a reset."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.transport.abort()

    pair = Pair(serve)

    async def story() -> None:
        with pytest.raises(ConnectionResetError):
            await pair.anne.run(read_all, pair.bob)

    pair.run(story)


def test_a_crash_tells_nobody() -> None:
    """Who talks to a crashed machine gets nothing, until it is restarted and does not know the connection."""
    ends: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    pair = Pair(serve)

    async def story() -> None:
        talking = pair.anne.run(talk_until_lost, pair.bob, 1, ends)
        await asyncio.sleep(5)
        pair.bob.crash()
        await asyncio.sleep(60)
        assert not ends
        pair.bob.restart(listen, echo)
        await asyncio.sleep(70)
        assert [kind for kind, _ in ends] == ["ConnectionResetError"]
        assert talking.done()

    pair.run(story)


def test_what_is_held_arrives_when_it_is_released() -> None:
    """Nothing gets through a held way, and all of it does, in order and at once, after the release."""
    pair = Pair(echo)

    async def program() -> bytes:
        reader, writer = await connect(pair.bob)
        await asyncio.sleep(1)
        for number in range(10):
            writer.write(b"%d" % number)
        text = await reader.readexactly(10)
        writer.close()
        return text

    async def story() -> None:
        talking = pair.anne.run(program)
        await asyncio.sleep(0.5)
        pair.network.hold(pair.anne, pair.bob)
        await asyncio.sleep(100)
        assert not talking.done()
        pair.network.release()
        assert await talking == b"0123456789"
        assert pair.sim.now < 100.6

    pair.run(story)


def test_a_delay_holds_for_what_sets_out_then() -> None:
    """A longer way makes each direction longer, until that is taken back."""
    pair = Pair(echo)

    async def story() -> None:
        pair.network.delay("anne", ["bob"], 1)
        assert await pair.anne.run(ask, pair.bob, b"x") == b"x"
        assert pair.sim.now == pytest.approx(4.04, abs=0.1)
        pair.network.delay("anne", "bob", 0)
        began = pair.sim.now
        await pair.anne.run(ask, pair.bob, b"x")
        assert pair.sim.now - began < 0.1
        with pytest.raises(SimulationError, match="nobody"):
            pair.network.heal("anne", "nobody")
        with pytest.raises(SimulationError, match="partition"):
            pair.network.drop("anne", "bob", 1.0)

    pair.run(story)


def test_a_paused_program_still_has_its_kernel() -> None:
    """A paused host accepts connections and takes bytes up to the window; its program finds them later."""
    pair = Pair(echo)

    async def story() -> None:
        pair.bob.pause()
        asking = pair.anne.run(ask, pair.bob, b"good morning")
        await asyncio.sleep(2000)
        assert "anne:49152 > bob:7000 connected" in str(pair.sim.transcript)
        assert not asking.done()
        pair.bob.resume()
        assert await asking == b"good morning"
        assert pair.sim.now < 2001

    pair.run(story)


def test_the_network_is_repeated_by_the_seed() -> None:
    """Latencies, losses and cuts of segments are the same for the same seed, to the digest of every byte."""

    def digest(seed: int) -> str:
        pair = Pair(echo, seed, NetworkOptions())

        async def story() -> None:
            pair.network.drop("anne", "bob", 0.1)
            assert await pair.anne.run(ask, pair.bob, bytes(100_000)) == bytes(100_000)

        pair.run(story)
        return pair.sim.transcript.digest()

    assert digest(1) == digest(1) != digest(2)
