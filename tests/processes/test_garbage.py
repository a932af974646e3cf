"""Whatever bytes arrive, a host never raises and never dies."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.processes.host import Host
from foundation.processes.options import ProcessOptions
from tests.processes.conftest import StartHost
from tests.processes.memory_wire import Network
from tests.processes.samples import Counter, Echo
from tests.processes.waiting import until

pack = msgspec.msgpack.encode

numbers = st.integers(-3, 40) | st.integers(-(2**63), 2**64 - 1)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)
names = (
    st.sampled_from(["add", "count_to", "any", "everything", "start", "stop", "__init__", "started", ""]) | st.text()
)
arguments = st.lists(anything, max_size=4)
named = st.none() | st.dictionaries(st.text(max_size=4), anything, max_size=3)
serials = st.integers(0, 4) | numbers
shaped = st.one_of(
    st.tuples(st.sampled_from([1, 7]), numbers, serials, names, st.none() | numbers, arguments, named),
    st.tuples(st.just(2), serials, names, arguments, named),
    st.tuples(st.just(3), serials, st.text(max_size=4), anything),
    st.tuples(st.sampled_from([4, 8]), numbers, anything),
    st.tuples(st.just(5), numbers, st.booleans(), st.text(max_size=9), st.text(max_size=9), st.text(), anything),
    st.tuples(st.sampled_from([6, 9]), numbers),
)


def mutate(chance: random.Random, good: list[bytes]) -> bytes:
    """Make a batch out of good frames, most of them changed, some so that the whole batch makes no sense."""
    frames = [changed(chance, chance.choice(good)) for _ in range(chance.randint(1, 60))]
    batch = bytearray(pack([msgspec.Raw(frame) for frame in frames]))
    if chance.random() < 0.1:
        at = chance.randrange(len(batch))
        batch[at : at + chance.randint(0, 5)] = chance.randbytes(chance.randint(0, 5))
    return bytes(batch)


def changed(chance: random.Random, good: bytes) -> bytes:
    """Change some bytes of a frame so that it stays one object."""
    for _ in range(3):
        frame = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        with suppress(Exception):
            if len(msgspec.msgpack.decode(frame, type=msgspec.Raw)) == len(good):
                return bytes(frame)
    return good


def good_frames(serials: list[int]) -> list[bytes]:
    made: list[list[Any]] = [
        [4, 1, 2],
        [8, 2, None],
        [5, 3, True, "builtins:ValueError", "x", "", [["x"], {}]],
        [6, 4],
        [9, 5],
    ]
    for serial in serials:
        made += [[1, 7, serial, "add", 900, [1], None], [1, 8, serial, "any", None, [{"a": [1, b"x"]}], None]]
        made += [[7, 9, serial, "count_to", None, [20], None], [2, serial, "add", [], {"n": 1}], [3, serial, "x", 1]]
        made += [[1, 10, serial, "everything", 900, [1, "b", 2.5], {"c": True, "d": 4}]]
    made += [[1, 11, 0, "start", 900, ["tests.processes.samples:Counter", b"\x90", {}, None], None]]
    return [pack(frame) for frame in made]


@pytest.mark.parametrize("seed", range(4))
async def test_thousands_of_mutated_frames(
    seed: int, start_host: StartHost, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """Frames that were right once, with some bytes changed, harm neither the host nor the processes that it runs."""
    caplog.set_level(logging.CRITICAL)
    host, stranger = await start_host(), await start_host()
    victims = [await host.start(Counter), await host.start(Echo)]
    good = good_frames([1, 2])
    chance = random.Random(seed)
    for _ in range(150):
        host.receive(stranger.node_id, mutate(chance, good))
        await asyncio.sleep(0)
    assert host.dropped_frames > 500
    await survives(host, victims)
    network.down(stranger.node_id)


async def survives(host: Host, victims: list[Any]) -> None:
    await until(lambda: not any(info.mailbox_length for info in host.processes()), "all is handled", 100_000)
    counter, echo = victims
    assert isinstance(await counter.add(0), int)
    assert await echo.any("alive") == "alive"
    assert await (await host.start(Counter)).add(1) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(shaped | anything, max_size=20))
async def test_frames_of_any_shape(frames: list[Any], start_host: StartHost) -> None:
    """Frames that are nearly right in their shape, with any values, harm nobody."""
    logger = logging.getLogger("foundation")
    logger.setLevel(logging.CRITICAL)
    host, stranger = await start_host(), await start_host()
    victims = [await host.start(Counter), await host.start(Echo)]
    host.receive(stranger.node_id, pack(frames))
    await survives(host, victims)
    logger.setLevel(logging.NOTSET)


@given(data=st.binary(max_size=300))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_random_bytes(data: bytes, here: Host) -> None:
    """Bytes without any shape are dropped."""
    here.receive(here.node_id, data)


async def test_good_frames_beside_bad_ones_are_handled(here: Host, there: Host) -> None:
    """One bad frame costs itself, not its batch."""
    counter = await here.start_on(there.node_id, Counter)
    cast = [2, counter.process_id.serial, "add", [1], None]
    there.receive(here.node_id, pack([cast, [99, 1], "x", cast, [1], [2, "x", "add", []], cast]))
    assert await counter.add(0) == 3
    assert there.dropped_frames == 4


async def test_newer_nodes_may_say_more(here: Host, there: Host) -> None:
    """Trailing fields that this version does not know are ignored."""
    counter = await here.start_on(there.node_id, Counter)
    there.receive(here.node_id, pack([[2, counter.process_id.serial, "add", [1], None, {"new": 1}, 2]]))
    assert await counter.add(0) == 1
    assert there.dropped_frames == 0


async def test_garbage_is_logged_once(here: Host, there: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Garbage is counted each time, and logged once per source and interval."""
    for _ in range(50):
        there.receive(here.node_id, b"garbage")
    assert there.dropped_frames == 50
    assert len([record for record in caplog.records if "garbage" in record.message]) == 1


async def test_the_log_of_garbage_has_an_interval(start_host: StartHost, caplog: pytest.LogCaptureFixture) -> None:
    """After the interval the next garbage is logged again."""
    host = await start_host(ProcessOptions(garbage_log_interval_s=0.0))
    for _ in range(3):
        host.receive(host.node_id, b"garbage")
    assert len(caplog.records) == 3


async def test_a_number_is_used_once(here: Host, there: Host) -> None:
    """A second call under a number that is in use is garbage, and does not disturb the first."""
    counter = await here.start_on(there.node_id, Counter)
    call = [1, 1_000_000, counter.process_id.serial, "add", None, [1], None]
    there.receive(here.node_id, pack([call, call]))
    assert there.dropped_frames == 1
    assert await counter.add(0) == 1
