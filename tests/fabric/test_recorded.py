"""What was said over the wire in versions past is understood, and what is not understood is refused in clear words."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from foundation.errors import CodecError
from foundation.fabric import handshake, packet
from foundation.fabric.handshake import Proof, Welcome
from foundation.fabric.versions import SPOKEN
from foundation.processes.messages import Frame
from tests.fabric.record import (
    COOKIE,
    FOLDER,
    TODAY,
    Recorded,
    meaning_of,
    recorded,
    said_today,
)

RECORDINGS = sorted(FOLDER.glob("*.txt"))
EVERYTHING = [pytest.param(each, id=f"{path.stem}-{each.name}") for path in RECORDINGS for each in recorded(path)]


def of_kind(path: Path, kind: str) -> list[Recorded]:
    return [each for each in recorded(path) if each.kind == kind]


@pytest.mark.parametrize("each", EVERYTHING)
def test_what_was_recorded_means_the_same_today(each: Recorded) -> None:
    """Each recorded field is read as it was; fields that have been added since are beside the point."""
    meaning = meaning_of(each.kind, each.data)
    assert {name: meaning.get(name) for name in each.meaning} == each.meaning


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recorded_frames_are_read_out_of_their_packet(path: Path) -> None:
    """The data packet holds all the frames, in order, as the host reads them."""
    (data,) = [each for each in recorded(path) if each.name == "Data"]
    read = packet.unpack(memoryview(data.data)[4:])
    assert isinstance(read, packet.Data)
    one_by_one = [msgspec.msgpack.decode(each.data, type=Frame) for each in of_kind(path, "frame")]
    assert msgspec.msgpack.decode(read.body, type=list[Frame]) == one_by_one


@pytest.mark.parametrize("each", [pytest.param(each, id=each.name) for each in of_kind(TODAY, "frame")])
def test_a_field_of_tomorrow_is_ignored(each: Recorded) -> None:
    """In every kind of frame a newer node may say more at the end, and the rest is read as ever."""
    [length, *rest] = each.data
    longer = bytes([length + 1, *rest]) + msgspec.msgpack.encode({"a field": "of tomorrow"})
    assert len(msgspec.msgpack.decode(longer)) == len(msgspec.msgpack.decode(each.data)) + 1
    assert meaning_of("frame", longer) == each.meaning


@pytest.mark.parametrize("version", [packet.VERSION - 1, packet.VERSION + 1, 15])
@pytest.mark.parametrize("each", [pytest.param(each, id=each.name) for each in of_kind(TODAY, "packet")])
def test_a_packet_of_another_version_is_refused(each: Recorded, version: int) -> None:
    """The error says which version this node reads and how the packet begins."""
    begin = version << 4 | each.data[4] & 0x0F
    with pytest.raises(CodecError, match=f"not a packet of version {packet.VERSION}: it begins with {begin:#x}"):
        packet.unpack(memoryview(bytes([begin]) + each.data[5:]))


def test_everything_that_is_said_today_is_recorded() -> None:
    """After the version was raised or something was added: python -m tests.fabric.record."""
    assert [(each.kind, each.name) for each in recorded(TODAY)] == [(kind, name) for kind, name, _ in said_today()]
    assert {each.name for each in of_kind(TODAY, "frame")} == {kind.__name__ for kind in get_args(Frame)}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recorded_proofs_fit_what_was_recorded(path: Path) -> None:
    """What is signed, and how, stays as it was; that is why who says more at the end is still believed."""
    said = {each.name: each.data[2:] for each in of_kind(path, "handshake")}
    proof, welcome = handshake.decode(said["Proof"]), handshake.decode(said["Welcome"])
    assert isinstance(proof, Proof)
    assert isinstance(welcome, Welcome)
    both = [said["Hello"], said["Challenge"]]
    assert proof.mac == handshake._sign(COOKIE, b"", b"dialer", both)
    assert welcome.mac == handshake._sign(COOKIE, b"", b"door", [*both, bytes(welcome.identity)])


def test_whatever_is_still_spoken_is_recorded() -> None:
    """Each version down to the oldest has its recording, so that none can be promised that is not understood."""
    recordings = {path.stem for path in RECORDINGS}
    assert recordings == {f"version-{version}" for version in range(SPOKEN.oldest, SPOKEN.newest + 1)}


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_handshake_and_packets_are_of_one_version(path: Path) -> None:
    """What the door agrees on is what the packets say that they are, and it fits into their four bits."""
    version = int(path.stem.removeprefix("version-"))
    assert {each.data[4] >> 4 for each in of_kind(path, "packet")} == {version}
    (hello,) = [each.meaning for each in of_kind(path, "handshake") if each.name == "Hello"]
    assert hello["newest"] == version
