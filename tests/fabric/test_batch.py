"""Batches say what was put in, and anything else is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import CodecError
from foundation.fabric.batch import pack, unpack

TOTALS = st.integers(0, 2**62)


@given(st.integers(0, 2**32 - 1), TOTALS, TOTALS, st.lists(st.integers() | st.text(max_size=9), max_size=20))
def test_a_batch_survives_the_wire(incarnation: int, before: int, confirmed: int, values: list[object]) -> None:
    """Header and frames come out as they went in; the frames are one MessagePack array."""
    values = [value for value in values if not isinstance(value, int) or -(2**63) <= value < 2**64]
    frames = [msgspec.msgpack.encode(value) for value in values]
    batch = unpack(pack(incarnation, before, confirmed, frames))
    assert batch[:4] == (incarnation, before, confirmed, len(values))
    assert msgspec.msgpack.decode(batch.frames) == values


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda rest: b"\x01" + rest))
def test_any_bytes_are_a_batch_or_a_codec_error(payload: bytes) -> None:
    """Reading raises nothing but :class:`CodecError`, and what it returns can be written again."""
    try:
        batch = unpack(payload)
    except CodecError:
        return
    pack(batch.incarnation, batch.before + len(payload), batch.confirmed, [])


@pytest.mark.parametrize("position", [5, 13])
def test_a_total_that_nobody_can_have_sent_is_refused(position: int) -> None:
    """Counting on from it would leave the numbers that a header can hold."""
    payload = bytearray(pack(1, 0, 0, [b"\xc0"]))
    payload[position : position + 8] = b"\xff" * 8
    with pytest.raises(CodecError):
        unpack(bytes(payload))


def test_another_version_is_refused() -> None:
    """A batch of another version, or with something else than an array in it, is not read."""
    good = pack(1, 2, 3, [b"\xc0"])
    for damaged in (b"\x02" + good[1:], good[:21] + b"\xdc" + good[22:], good[:-2], b""):
        with pytest.raises(CodecError):
            unpack(damaged)
