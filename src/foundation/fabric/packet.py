"""What goes over a path from one node to another, direct or routed: packets, each with its length in front. Pure.

::

    length:u32  version|kind:u8 ...
      data      channel:u8 flags:u8 number:u64 seen:u64 body     a MessagePack array of frames, or a piece of one frame
      ack       (channel:u8 seen:u64)*                           what has arrived, in every channel
      resume    a MessagePack array, see :class:`Resume`         how a path begins
      ping      nothing                                          answered with an ack

What is put on the engine's routes is the sender, as 16 bytes, and then packets.

``seen`` is the number of the last packet of that channel that arrived from the other side: acknowledgements ride on
data. New fields are added at the end; a node ignores what it does not know. The version is one of those in
:mod:`foundation.fabric.versions`; on a direct link it is the one that both agreed on at the door.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from enum import IntFlag
from typing import NamedTuple

import msgspec

from foundation.core.identity import NodeId
from foundation.errors import CodecError
from foundation.fabric.versions import SPOKEN

VERSION = SPOKEN.newest
MOST_PACKET_BYTES = 1 << 20
"""A longer packet is refused unread. Senders keep to pieces of 64 KB."""

_KIND_DATA, _KIND_ACK, _KIND_RESUME, _KIND_PING = (VERSION << 4 | kind for kind in range(1, 5))
_LENGTH = struct.Struct(">I")
_DATA = struct.Struct(">IBBBQQ")
_DATA_BODY = struct.Struct(">BBBQQ")
_ARRAY = struct.Struct(">BI")
_TOTAL = struct.Struct(">Q")
_SEEN = struct.Struct(">BQ")
_ARRAY_32 = 0xDD
_MOST_CHANNELS = 16
_SENDER_BYTES = 16


class Flags(IntFlag):
    """What the body of a data packet is; 0: whole frames."""

    PIECE = 1
    FIRST = 2
    LAST = 4


class Data(NamedTuple):
    """A data packet as it was received; whole frames are a MessagePack array that nobody has looked into yet."""

    channel: int
    flags: int
    number: int
    seen: int
    body: memoryview


class Ack(NamedTuple):
    """The last packet of each channel that arrived."""

    seen: dict[int, int]


class Ping(NamedTuple):
    """A question whether anybody is there."""


class Resume(msgspec.Struct, frozen=True, array_like=True):
    """How each side begins on a path: who speaks, which session it knows of the other, and what has arrived."""

    incarnation: int
    session: int
    """This side's session: a random number that is new whenever it has forgotten what was sent and seen."""
    known: int
    """The other side's session as this side knows it; 0 for none."""
    answer_wanted: bool
    seen: dict[int, int]


Packet = Data | Ack | Resume | Ping

_encode = msgspec.msgpack.Encoder().encode
_resume: msgspec.msgpack.Decoder[Resume] = msgspec.msgpack.Decoder(Resume)


def pack_frames(channel: int, number: int, seen: int, frames: Sequence[bytes]) -> bytes:
    """Write whole frames, each one encoded MessagePack value."""
    body = b"".join(frames)
    length = _DATA_BODY.size + _ARRAY.size + len(body)
    header = _DATA.pack(length, _KIND_DATA, channel, 0, number, seen)
    return b"".join((header, _ARRAY.pack(_ARRAY_32, len(frames)), body))


def pack_piece(channel: int, number: int, seen: int, piece: memoryview, flags: Flags, total: int) -> bytes:
    """Write a piece of one frame of ``total`` bytes; the first one tells how many there are."""
    prefix = _TOTAL.pack(total) if flags & Flags.FIRST else b""
    length = _DATA_BODY.size + len(prefix) + len(piece)
    header = _DATA.pack(length, _KIND_DATA, channel, flags | Flags.PIECE, number, seen)
    return b"".join((header, prefix, piece))


def pack_ack(seen: dict[int, int]) -> bytes:
    """Write an acknowledgement of everything."""
    body = b"".join(_SEEN.pack(channel, number) for channel, number in seen.items())
    return _LENGTH.pack(1 + len(body)) + bytes((_KIND_ACK,)) + body


def pack_resume(resume: Resume) -> bytes:
    """Write how a path begins."""
    body = _encode(resume)
    return _LENGTH.pack(1 + len(body)) + bytes((_KIND_RESUME,)) + body


PING = _LENGTH.pack(1) + bytes((_KIND_PING,))


def wrap_one(frame: bytes) -> bytes:
    """Write a frame that came in pieces as an array of one."""
    return _ARRAY.pack(_ARRAY_32, 1) + frame


def wrap_all(frames: Sequence[bytes]) -> bytes:
    """Write frames as the array that a receiver gets."""
    return _ARRAY.pack(_ARRAY_32, len(frames)) + b"".join(frames)


def read_total(body: memoryview) -> tuple[int, memoryview]:
    """Read the length of the whole frame from its first piece."""
    if len(body) < _TOTAL.size:
        message = "a first piece without the length of the whole"
        raise CodecError(message)
    return _TOTAL.unpack_from(body)[0], body[_TOTAL.size :]


def pack_sender(node: NodeId) -> bytes:
    """Write who sends what follows."""
    return int(node, 16).to_bytes(_SENDER_BYTES, "big")


def split_sender(payload: bytes) -> tuple[NodeId, memoryview]:
    """Read the sender and return what follows it."""
    sender = payload[:_SENDER_BYTES].hex().lstrip("0")
    if len(payload) < _SENDER_BYTES or not sender:
        message = f"{len(payload)} bytes without a sender"
        raise CodecError(message)
    return NodeId(sender), memoryview(payload)[_SENDER_BYTES:]


class Splitter:
    """Cut a stream of bytes into packets, wherever its chunks begin and end."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes | memoryview) -> Iterator[memoryview]:
        """Return the packets that are complete now, without their lengths; a length beyond reason is a CodecError."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        view, at, end = memoryview(data), 0, len(data)
        while end - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, at)
            if not 0 < length <= MOST_PACKET_BYTES:
                message = f"a packet of {length} bytes"
                raise CodecError(message)
            if end - at - _LENGTH.size < length:
                break
            at += _LENGTH.size
            yield view[at : at + length]
            at += length
        if at < end:
            self._rest = bytes(view[at:])

    @property
    def is_empty(self) -> bool:
        """Tell whether the stream stands at the end of a packet."""
        return not self._rest


def unpack(packet: memoryview) -> Packet:
    """Read a packet; what cannot be one is a :class:`CodecError`."""
    kind = packet[0]
    if kind == _KIND_DATA:
        if len(packet) < _DATA_BODY.size:
            message = f"a data packet of {len(packet)} bytes is too short"
            raise CodecError(message)
        _, channel, flags, number, seen = _DATA_BODY.unpack_from(packet)
        return Data(channel, flags, number, seen, packet[_DATA_BODY.size :])
    if kind == _KIND_ACK:
        return _unpack_ack(packet[1:])
    if kind == _KIND_RESUME:
        return _unpack_resume(packet[1:])
    if kind == _KIND_PING:
        return Ping()
    message = f"not a packet of version {VERSION}: it begins with {kind:#x}"
    raise CodecError(message)


def _unpack_ack(body: memoryview) -> Ack:
    if len(body) % _SEEN.size or len(body) > _MOST_CHANNELS * _SEEN.size:
        message = f"an acknowledgement of {len(body)} bytes"
        raise CodecError(message)
    return Ack(dict(_SEEN.iter_unpack(body)))


def _unpack_resume(body: memoryview) -> Resume:
    try:
        return _resume.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        message = f"not the beginning of a path: {error}"
        raise CodecError(message) from error
