"""What goes over the wire in today's version, with fixed secrets: ``python -m tests.fabric.record`` writes it down.

Run it when the version is raised, and keep the recordings of the versions that are still spoken. A line is
``kind name hex meaning``; the meaning is JSON: the fields that today's code reads from those bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from foundation.core.identity import NodeId, ProcessId
from foundation.core.secret import Secret
from foundation.fabric import handshake, packet
from foundation.fabric.handshake import Acquaintance, DialerHandshake, DoorHandshake, Identity, Proof
from foundation.fabric.versions import SPOKEN
from foundation.processes import messages
from foundation.processes.messages import Frame, Hop

FOLDER = Path(__file__).parent / "recorded"
TODAY = FOLDER / f"version-{SPOKEN.newest}.txt"

COOKIE = Secret("a cookie for recordings")
ANNE = Identity("shop", NodeId("a" * 32), "anne", "1.0", ("tcp/127.0.0.1:1",))
BOB = Identity(
    "shop", NodeId("b" * 32), "bob", "1.1", ("tcp/127.0.0.1:2",), (Acquaintance(NodeId("c" * 32), ("127.0.0.1:3",)),)
)

_frame: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class Recorded(NamedTuple):
    """Some bytes, and what they mean."""

    kind: str
    name: str
    data: bytes
    meaning: dict[str, Any]


def meaning_of(kind: str, data: bytes) -> dict[str, Any]:
    """Read bytes with today's code, as whoever gets them does, and return the type and the fields as JSON has them."""
    read: Any
    if kind == "handshake":
        read = handshake.decode(data[2:])
    elif kind == "frame":
        read = _frame.decode(data)
    else:
        (whole,) = packet.Splitter().feed(data)
        read = packet.unpack(whole)
    fields = msgspec.structs.asdict(read) if isinstance(read, msgspec.Struct) else read._asdict()
    if isinstance(read, handshake.Welcome):
        fields["identity"] = msgspec.msgpack.decode(read.identity, type=Identity)
    meaning = {"type": type(read).__name__} | {name: _plain(value) for name, value in fields.items()}
    as_json: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(meaning))
    return as_json


def recorded(path: Path) -> list[Recorded]:
    """Read a recording."""
    lines = [line.split(" ", 3) for line in path.read_text().splitlines()]
    return [Recorded(kind, name, bytes.fromhex(data), msgspec.json.decode(text)) for kind, name, data, text in lines]


def body_of(message: handshake.Message) -> bytes:
    """Write a message as the other side takes it: without its length."""
    return handshake.encode(message)[2:]


def said_today() -> Iterator[tuple[str, str, bytes]]:
    """Say everything that today's code can say."""
    dialer = DialerHandshake(ANNE, COOKIE, bytes(range(16)), wants_link=True)
    door = DoorHandshake(BOB, COOKIE, bytes(range(16, 32)))
    challenge = door.receive(body_of(dialer.hello()))
    proof = dialer.receive(body_of(challenge))
    assert isinstance(proof, Proof)
    conversation = (dialer.hello(), challenge, proof, door.receive(body_of(proof)), handshake.Refused("COOKIE"))
    for message in conversation:
        yield "handshake", type(message).__name__, handshake.encode(message)
    encoded = {type(frame).__name__: msgspec.msgpack.encode(frame) for frame in _frames()}
    for name, frame in encoded.items():
        yield "frame", name, frame
    whole = memoryview(encoded["Call"])
    yield "packet", "Data", packet.pack_frames(1, 7, 3, list(encoded.values()))
    yield "packet", "FirstPiece", packet.pack_piece(3, 8, 0, whole[:9], packet.Flags.FIRST, len(whole))
    yield "packet", "LastPiece", packet.pack_piece(3, 9, 2**40, whole[9:], packet.Flags.LAST, len(whole))
    yield "packet", "Ack", packet.pack_ack({0: 1, 3: 2**40})
    yield "packet", "Resume", packet.pack_resume(packet.Resume(2, 2**62, 5, answer_wanted=True, seen={0: 4, 3: 9}))
    yield "packet", "Ping", packet.PING


def _frames() -> list[Frame]:
    arguments = Raw(msgspec.msgpack.encode([7, "x"]))
    keywords = {"n": Raw(msgspec.msgpack.encode(1))}
    chain = (Hop(ProcessId(ANNE.node, 4), "Counter 4"),)
    return [
        messages.Call(1, 2, "add", 5000, arguments, keywords, chain),
        messages.Cast(2, "add", arguments, keywords),
        messages.Message(2, "shop:Order", arguments),
        messages.Reply(1, arguments),
        messages.Fault(1, True, "builtins:ValueError", "no", "Traceback ...", arguments),  # noqa: FBT003
        messages.Cancel(1),
        messages.Open(3, 2, "watch", None, arguments, keywords, chain, 256),
        messages.Item(3, arguments),
        messages.End(3),
        messages.More(3, 128),
        messages.Pressure(2, hold=True),
        messages.Watch(4, 2),
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Raw | memoryview):
        return bytes(value).hex()
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def main() -> None:
    """Write down what is said today."""
    lines = [
        f"{kind} {name} {data.hex()} {msgspec.json.encode(meaning_of(kind, data)).decode()}\n"
        for kind, name, data in said_today()
    ]
    TODAY.write_text("".join(lines))


if __name__ == "__main__":
    main()
