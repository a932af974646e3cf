"""What goes over the wire from one node to another: a header and a MessagePack array of frames. Pure.

The header says which incarnation of the sender speaks, how many bytes it has sent before, and how many of the
receiver's bytes it has got: see :mod:`foundation.fabric.window`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from foundation.errors import CodecError

VERSION = 1
_HEADER = struct.Struct(">BIQQ")
_ARRAY = struct.Struct(">BI")
_ARRAY_32 = 0xDD
_MOST_TOTAL = 1 << 63


class Batch(NamedTuple):
    """A batch as it was received; ``frames`` is a MessagePack array, not looked into yet."""

    incarnation: int
    before: int
    confirmed: int
    frame_count: int
    frames: memoryview


def pack(incarnation: int, before: int, confirmed: int, frames: Sequence[bytes]) -> bytes:
    """Write a batch; each frame is one encoded MessagePack value."""
    header = _HEADER.pack(VERSION, incarnation, before, confirmed)
    return b"".join((header, _ARRAY.pack(_ARRAY_32, len(frames)), *frames))


def unpack(payload: bytes) -> Batch:
    """Read the header of a batch; what cannot be one is a :class:`CodecError`."""
    if len(payload) < _HEADER.size + _ARRAY.size:
        message = f"a batch of {len(payload)} bytes is too short"
        raise CodecError(message)
    version, incarnation, before, confirmed = _HEADER.unpack_from(payload)
    kind, count = _ARRAY.unpack_from(payload, _HEADER.size)
    if version != VERSION or kind != _ARRAY_32:
        message = f"not a batch of version {VERSION}"
        raise CodecError(message)
    if max(before, confirmed) >= _MOST_TOTAL:
        message = "a batch that counts more bytes than anybody can have sent"
        raise CodecError(message)
    return Batch(incarnation, before, confirmed, count, memoryview(payload)[_HEADER.size :])
