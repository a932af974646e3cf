"""Packets: what goes in comes out, however the stream is cut, and nothing else gets through."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import CodecError
from foundation.fabric.packet import (
    MOST_PACKET_BYTES,
    PING,
    Ack,
    Data,
    Flags,
    Ping,
    Resume,
    Splitter,
    pack_ack,
    pack_frames,
    pack_piece,
    pack_resume,
    read_total,
    unpack,
    wrap_one,
)

numbers = st.integers(0, 2**64 - 1)
channels = st.integers(0, 255)
frames = st.lists(
    st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(), st.binary()).map(msgspec.msgpack.encode), max_size=5
)


def packets_in(*chunks: bytes) -> list[bytes]:
    splitter = Splitter()
    return [bytes(packet) for chunk in chunks for packet in splitter.feed(chunk)]


@given(channels, numbers, numbers, frames)
def test_frames_come_out_as_they_went_in(channel: int, number: int, seen: int, sent: list[bytes]) -> None:
    """A packet of frames keeps its channel, its numbers and its frames."""
    (packet,) = packets_in(pack_frames(channel, number, seen, sent))
    data = unpack(memoryview(packet))
    assert isinstance(data, Data)
    assert (data.channel, data.flags, data.number, data.seen) == (channel, 0, number, seen)
    assert msgspec.msgpack.decode(data.body) == [msgspec.msgpack.decode(frame) for frame in sent]


def test_pieces_tell_what_they_are() -> None:
    """The first piece tells the length of the whole; the others are bare."""
    (first, last) = packets_in(
        pack_piece(3, 1, 0, memoryview(b"abc"), Flags.FIRST, 5) + pack_piece(3, 2, 0, memoryview(b"de"), Flags.LAST, 5)
    )
    head, tail = unpack(memoryview(first)), unpack(memoryview(last))
    assert isinstance(head, Data)
    assert isinstance(tail, Data)
    total, body = read_total(head.body)
    assert (total, bytes(body), bytes(tail.body)) == (5, b"abc", b"de")
    assert head.flags == Flags.PIECE | Flags.FIRST
    assert tail.flags == Flags.PIECE | Flags.LAST
    assert wrap_one(b"\xc0") == msgspec.msgpack.Encoder().encode([None]).replace(b"\x91", b"\xdd\x00\x00\x00\x01")


def test_the_rest_comes_out_as_it_went_in() -> None:
    """Acknowledgements, beginnings and pings survive the wire; a beginning with more fields is read all the same."""
    resume = Resume(3, 2**63, 0, answer_wanted=True, seen={0: 4, 3: 9})
    newer = msgspec.msgpack.encode([3, 2**63, 0, True, {0: 4, 3: 9}, "a field of tomorrow"])
    kind = pack_resume(resume)[4:5]
    stream = pack_ack({0: 1, 2: 7}) + pack_resume(resume) + PING + (len(newer) + 1).to_bytes(4, "big") + kind + newer
    read = [unpack(memoryview(packet)) for packet in packets_in(stream)]
    assert read == [Ack({0: 1, 2: 7}), resume, Ping(), resume]


@given(st.lists(frames, max_size=4), st.data())
def test_a_stream_may_be_cut_anywhere(batches: list[list[bytes]], data: st.DataObject) -> None:
    """However the bytes are cut into chunks, the same packets come out."""
    stream = b"".join(pack_frames(1, number, 0, batch) for number, batch in enumerate(batches))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert packets_in(*chunks) == packets_in(stream)


@pytest.mark.parametrize("length", [0, MOST_PACKET_BYTES + 1, 2**32 - 1])
def test_a_length_beyond_reason_ends_the_stream(length: int) -> None:
    """An empty or a huge packet is refused before anything is kept."""
    with pytest.raises(CodecError):
        packets_in(length.to_bytes(4, "big") + b"x" * 10)


@given(st.binary(min_size=1, max_size=200))
def test_garbage_is_a_clear_error_or_a_packet(garbage: bytes) -> None:
    """Whatever bytes come, reading them ends in a packet or in CodecError."""
    with contextlib.suppress(CodecError):
        unpack(memoryview(garbage))


@given(st.sampled_from([pack_frames(1, 5, 3, [b"\xc0"]), pack_resume(Resume(1, 2, 3, True, {1: 1}))]), st.data())  # noqa: FBT003
def test_a_mutated_packet_is_a_clear_error_or_a_packet(genuine: bytes, data: st.DataObject) -> None:
    """One changed byte, or a missing end, is no reason for any other error."""
    at = data.draw(st.integers(4, len(genuine) - 1))
    mutated = bytearray(genuine)
    mutated[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        unpack(memoryview(bytes(mutated))[4 : data.draw(st.integers(5, len(genuine)))])
