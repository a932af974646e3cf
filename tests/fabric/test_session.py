"""Two ends of a session: nothing lost, doubled or reordered, whatever happens to the paths between them."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.core.channels import CHANNELS, Channel
from foundation.errors import CodecError
from foundation.fabric.packet import Ack, Data, Flags, Splitter, pack_piece, unpack
from foundation.fabric.session import PIECE_BYTES, GapError, Session

KIB = 1 << 10
WINDOW = 256 * KIB


class End:
    """One end, and the bytes on their way to the other."""

    def __init__(self, window: int = WINDOW) -> None:
        self.session = Session(window, 1 << 30)
        self.wire: deque[bytes] = deque()
        self.got: dict[int, list[Any]] = {channel: [] for channel in CHANNELS}

    def send(self, channel: Channel, value: object) -> None:
        assert self.session.enqueue(channel, msgspec.msgpack.encode(value), 1 << 30)

    def push(self, most_bytes: int = 1 << 30) -> None:
        self.wire += self.session.next_packets(most_bytes)

    def take(self, stream: bytes) -> None:
        for piece in Splitter().feed(stream):
            packet = unpack(piece)
            if isinstance(packet, Ack):
                self.session.receive_ack(packet)
            elif isinstance(packet, Data) and (frames := self.session.receive(packet)) is not None:
                self.got[packet.channel] += msgspec.msgpack.decode(frames)


def deliver(sender: End, receiver: End, count: int) -> None:
    for _ in range(min(count, len(sender.wire))):
        receiver.take(sender.wire.popleft())


def cut(one: End, other: End) -> None:
    """Lose all that is on its way, and begin a new path."""
    one.wire.clear()
    other.wire.clear()
    one.session.resume(other.session.seen())
    other.session.resume(one.session.seen())


def finish(one: End, other: End) -> None:
    for _ in range(10_000):
        for sender, receiver in ((one, other), (other, one)):
            sender.push()
            deliver(sender, receiver, len(sender.wire))
            sender.take(receiver.session.ack())
        if not any(end.session.has_work or end.session.unacknowledged_bytes for end in (one, other)):
            return
    pytest.fail("the session does not come to an end")


sizes = st.sampled_from([0, 1, 100, 5 * KIB, PIECE_BYTES - 10, PIECE_BYTES + 10, 300 * KIB])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.booleans(), st.sampled_from(CHANNELS), sizes),
        st.tuples(st.just("push"), st.booleans(), st.integers(0, 400 * KIB)),
        st.tuples(st.just("deliver"), st.booleans(), st.integers(0, 10)),
        st.tuples(st.just("ack"), st.booleans()),
        st.tuples(st.just("cut")),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_nothing_is_lost_doubled_or_reordered(story: list[Any]) -> None:
    """Whatever is sent, pushed, delivered, acknowledged and cut, each channel delivers each frame once and in order."""
    one, other = End(), End()
    sent: dict[bool, dict[int, list[Any]]] = {side: {channel: [] for channel in CHANNELS} for side in (True, False)}
    for number, step in enumerate(story):
        if step[0] == "cut":
            cut(one, other)
            continue
        sender, receiver = (one, other) if step[1] else (other, one)
        if step[0] == "send":
            value = [number, bytes(step[3])]
            sent[step[1]][step[2]].append(value)
            sender.send(step[2], value)
        elif step[0] == "push":
            sender.push(step[2])
        elif step[0] == "deliver":
            deliver(sender, receiver, step[2])
        else:
            receiver.take(sender.session.ack())
        assert sender.session.unacknowledged_bytes <= len(CHANNELS) * (WINDOW + PIECE_BYTES + 100)
    finish(one, other)
    assert (other.got, one.got) == (sent[True], sent[False])
    assert one.session.waiting_bytes == other.session.waiting_bytes == 0


def test_a_late_packet_of_an_old_path_is_dropped() -> None:
    """What an old path still delivers after the new one has begun is known already, and counted."""
    one, other = End(), End()
    for number in range(5):
        one.send(Channel.EVENTS, number)
        one.push()
    late = list(one.wire)
    cut(one, other)
    one.push()
    deliver(one, other, 5)
    for packet in late:
        other.take(packet)
    assert other.got[Channel.EVENTS] == list(range(5))
    assert other.session.duplicates == 5


def test_a_missing_packet_is_noticed() -> None:
    """A packet behind a gap is not taken; after a new beginning it comes again, in order."""
    one, other = End(), End()
    for number in range(3):
        one.send(Channel.DATA, number)
        one.push()
    one.wire.popleft()
    with pytest.raises(GapError):
        deliver(one, other, 1)
    cut(one, other)
    one.push()
    deliver(one, other, 9)
    assert other.got[Channel.DATA] == [0, 1, 2]


def test_the_window_closes_and_opens() -> None:
    """A channel stops at its window, does not stop the others, and goes on when packets are acknowledged."""
    one, other = End(), End()
    for _ in range(40):
        one.send(Channel.DATA, bytes(50 * KIB))
    one.push()
    assert WINDOW <= one.session.unacknowledged_bytes <= WINDOW + PIECE_BYTES
    one.send(Channel.CONTROL, "urgent")
    one.push()
    deliver(one, other, len(one.wire))
    assert other.got[Channel.CONTROL] == ["urgent"]
    assert other.session.ack_due
    one.take(other.session.ack())
    assert one.session.unacknowledged_bytes == 0
    finish(one, other)
    assert len(other.got[Channel.DATA]) == 40


def test_what_is_urgent_overtakes_bulk() -> None:
    """Of all that waits, the urgent goes first, between the pieces of a large frame too."""
    one, other = End(), End()
    one.send(Channel.DATA, bytes(200 * KIB))
    one.push(PIECE_BYTES)
    one.send(Channel.CONTROL, "now")
    one.push()
    deliver(one, other, 2)
    assert other.got[Channel.CONTROL] == ["now"]
    assert not other.got[Channel.DATA]
    finish(one, other)
    assert other.got[Channel.DATA] == [bytes(200 * KIB)]


@given(st.dictionaries(st.integers(0, 255), st.integers(0, 2**64 - 1)))
def test_made_up_acknowledgements_are_harmless(seen: dict[int, int]) -> None:
    """Numbers of packets that were never sent, in channels that do not exist, change nothing."""
    one, other = End(), End()
    one.send(Channel.EVENTS, 1)
    one.push()
    made_up = {channel: number for channel, number in seen.items() if channel != Channel.EVENTS or number != 1}
    one.session.receive_ack(Ack(made_up))
    one.session.resume(made_up)
    cut(one, other)
    finish(one, other)
    assert other.got[Channel.EVENTS] == [1]


def test_a_frame_beyond_the_bound_is_refused() -> None:
    """A frame that claims more than the bound, or other than it has, is an error and not kept."""
    for flags, total in ((Flags.FIRST, 2 << 30), (Flags.FIRST | Flags.LAST, 99)):
        end = End()
        packet = pack_piece(Channel.DATA, 1, 0, memoryview(b"xyz"), flags, total)
        with pytest.raises(CodecError):
            end.take(packet)


def test_a_channel_that_does_not_exist_is_refused() -> None:
    """Data in an unknown channel is an error."""
    end, other = End(), End()
    other.send(Channel.DATA, 1)
    other.push()
    packet = bytearray(other.wire[0])
    packet[5] = 77
    with pytest.raises(CodecError):
        end.take(bytes(packet))


def test_a_long_run_keeps_nothing() -> None:
    """After 20,000 packets both ways nothing is kept at either end."""
    one, other = End(), End()
    chance = random.Random(1)
    for number in range(20_000):
        one.send(chance.choice(CHANNELS), number)
        other.send(chance.choice(CHANNELS), number)
        one.push()
        other.push()
        deliver(one, other, 9)
        deliver(other, one, 9)
    finish(one, other)
    for end in (one, other):
        assert sum(len(channel) for channel in end.got.values()) == 20_000
        assert not any(out and (out.unacknowledged or out.queue) for out in end.session._lanes)
