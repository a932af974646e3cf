"""What two nodes have said to each other: nothing lost, doubled or reordered by a cut or a change of path. Pure.

Packets are numbered per channel and kept until the other side has acknowledged them. A new path begins with both sides
telling the last numbers they have seen; then each goes on from there. The bytes that are not acknowledged are the
flow control: a channel stops at ``window_bytes``, whatever the path.

The scheme is that of TCP's cumulative acknowledgement, one level up, so that it survives the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from foundation.core.channels import CHANNELS, Channel
from foundation.errors import CodecError
from foundation.fabric.packet import Ack, Data, Flags, pack_ack, pack_frames, pack_piece, read_total, wrap_one

PIECE_BYTES = 64 << 10
"""No packet carries much more: so long may an urgent frame wait behind a packet that has begun."""

_CONFIRM_BYTES = 48 << 10
"""Less than the smallest window, so that it never stands still until a timer acknowledges."""


class _Outgoing:
    """One channel, from here to there."""

    __slots__ = (
        "acknowledged",
        "flying",
        "next_number",
        "piece",
        "queue",
        "resend",
        "unacknowledged",
        "waiting",
        "whole",
        "whole_at",
        "window",
    )

    def __init__(self, window: int) -> None:
        self.window = window
        self.piece = PIECE_BYTES
        self.queue: list[bytes] = []  # a deque takes ten times the memory while it is empty, as most are
        self.waiting = 0
        """Bytes of frames that no packet holds yet."""
        self.next_number = 1
        self.acknowledged = 0
        self.unacknowledged: list[bytes] = []
        self.flying = 0
        """Bytes of the unacknowledged packets."""
        self.resend = 0
        """How many of the unacknowledged packets, from the newest back, are still to be sent on the present path."""
        self.whole: memoryview | None = None
        """A large frame of which pieces have been sent."""
        self.whole_at = 0

    @property
    def has_work(self) -> bool:
        return bool(self.resend or self.queue or self.whole is not None)


class _Incoming:
    """One channel, from there to here."""

    __slots__ = ("pieces", "seen", "total", "unconfirmed")

    def __init__(self) -> None:
        self.seen = 0
        self.unconfirmed = 0
        """Bytes that arrived since the other side was last told."""
        self.pieces: list[bytes] = []
        self.total = 0


class Session:
    """One side of a session. Frames go in by :meth:`enqueue` and come out, over there, of :meth:`receive`."""

    __slots__ = (
        "_confirm_every",
        "_incoming",
        "_lanes",
        "_limits",
        "_most_frame",
        "_window",
        "ack_due",
        "ack_owed",
        "duplicates",
    )

    def __init__(self, window_bytes: int, most_frame_bytes: int) -> None:
        self._confirm_every = min(window_bytes // 4, _CONFIRM_BYTES)
        self._most_frame = most_frame_bytes
        self._window = window_bytes
        self._limits = [(window_bytes, PIECE_BYTES)] * len(CHANNELS)
        # A channel takes memory from its first frame on: in a large cluster most nodes say nothing to each other.
        self._lanes: list[_Outgoing | None] = [None] * len(CHANNELS)
        self._incoming: dict[int, _Incoming] = {}
        self.ack_due = False
        """So much has arrived since the other side was told that it is time to tell it."""
        self.ack_owed = False
        """Something has arrived that the other side does not know of yet."""
        self.duplicates = 0

    @property
    def has_work(self) -> bool:
        """Tell whether anything is to be sent, window or not."""
        return any(out is not None and out.has_work for out in self._lanes)

    @property
    def has_begun(self) -> bool:
        """Tell whether anything was sent or has arrived: then the other side must know this very session."""
        return any(out is not None and out.next_number > 1 for out in self._lanes) or bool(self.seen())

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes that were sent and of which the other side has not yet said that they arrived."""
        return sum(out.flying for out in self._lanes if out is not None)

    @property
    def acknowledged(self) -> int:
        """The number of packets that arrived over there; it grows as long as anybody listens."""
        return sum(out.acknowledged for out in self._lanes if out is not None)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of frames that no packet holds yet."""
        return sum(out.waiting for out in self._lanes if out is not None)

    def waiting(self, channel: Channel) -> int:
        """Bytes of frames of one channel that no packet holds yet."""
        out = self._lanes[channel]
        return 0 if out is None else out.waiting

    def enqueue(self, channel: Channel, frame: bytes, most_waiting: int) -> bool:
        """Let a frame wait for its turn; False when more than ``most_waiting`` bytes do so in its channel already."""
        out = self._lanes[channel] or self._begin(channel)
        if out.waiting > most_waiting:
            return False
        out.queue.append(frame)
        out.waiting += len(frame)
        return True

    def limit(self, channels: Iterable[Channel], window_bytes: int, piece_bytes: int) -> None:
        """Let less of some channels be under way at once than the others may have, in smaller packets."""
        limits = (window_bytes, min(piece_bytes, PIECE_BYTES))
        for channel in channels:
            self._limits[channel] = limits
            if (out := self._lanes[channel]) is not None:
                out.window, out.piece = limits

    def unacknowledged(self, channel: Channel) -> int:
        """Bytes of one channel that were sent and are not acknowledged."""
        out = self._lanes[channel]
        return 0 if out is None else out.flying

    def next_packets(self, most_bytes: int) -> list[bytes]:
        """Return what to send now on the present path, urgent channels first, about ``most_bytes`` in all."""
        packets: list[bytes] = []
        size = 0
        for channel in CHANNELS:
            out = self._lanes[channel]
            if out is not None and (out.queue or out.resend or out.whole is not None):
                while size < most_bytes and (packet := self._next_packet(channel, out)) is not None:
                    packets.append(packet)
                    size += len(packet)
        return packets

    def receive(self, data: Data) -> memoryview | bytes | None:
        """Take a data packet; return a MessagePack array of frames if that makes any complete.

        A packet that came before is dropped. Raises :class:`GapError` when one before it is missing, which no path in
        order can do: then resume.
        """
        incoming = self._incoming.get(data.channel) or self._listen(data.channel)
        self._arrived(data.channel, data.seen)
        self.ack_owed = True
        if data.number <= incoming.seen:
            self.duplicates += 1
            self.ack_due = True  # whoever sends it again does not know that it arrived
            return None
        if data.number != incoming.seen + 1:
            message = f"packet {data.number} came after {incoming.seen}"
            raise GapError(message)
        incoming.seen = data.number
        incoming.unconfirmed += len(data.body)
        if incoming.unconfirmed >= self._confirm_every:
            self.ack_due = True
        return self._assemble(incoming, data) if data.flags else data.body

    def receive_ack(self, ack: Ack) -> None:
        """Take an acknowledgement."""
        for channel, seen in ack.seen.items():
            self._arrived(channel, seen)

    def ack(self) -> bytes:
        """Return an acknowledgement of all that has arrived."""
        self.ack_due = self.ack_owed = False
        for incoming in self._incoming.values():
            incoming.unconfirmed = 0
        return pack_ack(self.seen())

    def seen(self) -> dict[int, int]:
        """Return the number of the last packet that arrived in each channel that has any."""
        return {int(channel): incoming.seen for channel, incoming in sorted(self._incoming.items()) if incoming.seen}

    def resume(self, seen: Mapping[int, int]) -> None:
        """Go on, on a new path, behind what the other side has seen; the rest is sent again."""
        for channel, number in seen.items():
            self._arrived(channel, number)
        for out in self._lanes:
            if out is not None:
                out.resend = len(out.unacknowledged)

    def _begin(self, channel: Channel) -> _Outgoing:
        out = self._lanes[channel] = _Outgoing(self._window)
        out.window, out.piece = self._limits[channel]
        return out

    def _listen(self, channel: int) -> _Incoming:
        if channel not in CHANNELS:
            message = f"a packet in a channel {channel} that does not exist"
            raise CodecError(message)
        incoming = self._incoming[channel] = _Incoming()
        return incoming

    def _next_packet(self, channel: Channel, out: _Outgoing) -> bytes | None:
        if out.resend:
            packet = out.unacknowledged[-out.resend]
            out.resend -= 1
            return packet
        if out.flying >= out.window:
            return None
        if out.whole is not None:
            return self._keep(out, self._next_piece(channel, out))
        if not out.queue:
            return None
        if len(out.queue[0]) > out.piece:
            out.whole, out.whole_at = memoryview(out.queue.pop(0)), 0
            return self._keep(out, self._next_piece(channel, out))
        frames = self._small_frames(out)
        return self._keep(out, pack_frames(channel, out.next_number, self._confirm(channel), frames))

    def _small_frames(self, out: _Outgoing) -> list[bytes]:
        queue = out.queue
        if out.waiting <= out.piece:
            out.queue, out.waiting = [], 0
            return queue
        size = many = 0
        for frame in queue:
            if size + len(frame) > out.piece:
                break
            size += len(frame)
            many += 1
        frames = queue[:many]
        del queue[:many]
        out.waiting -= size
        return frames

    def _next_piece(self, channel: Channel, out: _Outgoing) -> bytes:
        whole = out.whole
        assert whole is not None  # noqa: S101 - asked by the caller
        piece = whole[out.whole_at : out.whole_at + out.piece]
        flags = Flags.FIRST if out.whole_at == 0 else Flags(0)
        out.whole_at += len(piece)
        out.waiting -= len(piece)
        if out.whole_at == len(whole):
            flags |= Flags.LAST
            out.whole = None
        return pack_piece(channel, out.next_number, self._confirm(channel), piece, flags, len(whole))

    def _keep(self, out: _Outgoing, packet: bytes) -> bytes:
        out.next_number += 1
        out.unacknowledged.append(packet)
        out.flying += len(packet)
        return packet

    def _confirm(self, channel: Channel) -> int:
        """Return what has arrived in a channel; the packet that carries it is an acknowledgement."""
        incoming = self._incoming.get(channel)
        if incoming is None:
            return 0
        incoming.unconfirmed = 0
        return incoming.seen

    def _arrived(self, channel: int, seen: int) -> None:
        """Forget packets that the other side has seen; a stale or impossible number changes nothing."""
        out = self._lanes[channel] if 0 <= channel < len(self._lanes) else None
        if out is None or seen >= out.next_number:
            return
        if (many := seen - out.acknowledged) > 0:
            out.flying -= sum(map(len, out.unacknowledged[:many]))
            del out.unacknowledged[:many]
            out.acknowledged = seen
        out.resend = min(out.resend, len(out.unacknowledged))

    def _assemble(self, incoming: _Incoming, data: Data) -> bytes | None:
        body = data.body
        if data.flags & Flags.FIRST:
            incoming.pieces.clear()
            incoming.total, body = read_total(body)
        if incoming.total > self._most_frame:
            message = f"a frame of {incoming.total} bytes, more than {self._most_frame}"
            raise CodecError(message)
        incoming.pieces.append(bytes(body))
        if not data.flags & Flags.LAST:
            return None
        frame = b"".join(incoming.pieces)
        incoming.pieces.clear()
        if len(frame) != incoming.total:
            message = f"pieces of {len(frame)} bytes for a frame of {incoming.total}"
            raise CodecError(message)
        return wrap_one(frame)


class GapError(Exception):
    """A packet is missing: what comes after it cannot be taken."""
